// SAML's POST binding: the message goes on without a press of the button.
document.getElementById('post').submit()

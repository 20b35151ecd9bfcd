//! The texts: the pool's templates, or Cognito's defaults. Pure.

use super::{Body, Channel};
use crate::pool::Pool;

/// What a message is about.
pub enum Text<'a> {
    /// A code that proves an address: sign-up, a changed attribute.
    Verification { code: &'a str },
    /// A code that permits a new password.
    Reset { code: &'a str },
    /// A code that is the second factor of a sign-in.
    SecondFactor { code: &'a str },
    /// An administrator made an account.
    Invitation { username: &'a str, password: &'a str },
}

const VERIFICATION_SUBJECT: &str = "Your verification code";
const VERIFICATION: &str = "Your confirmation code is {####}";
const RESET: &str = "Your password reset code is {####}";
const SECOND_FACTOR_SUBJECT: &str = "Your authentication code";
const SECOND_FACTOR: &str = "Your authentication code is {####}";
const INVITATION_SUBJECT: &str = "Your temporary password";
const INVITATION: &str = "Your username is {username} and temporary password is {####}.";

/// Subject and body. Text messages have no subject.
pub fn compose(pool: &Pool, channel: Channel, text: &Text<'_>) -> (String, Body) {
    let (template, subject) = templates(pool, channel, text);
    let (username, code) = match text {
        Text::Verification { code } | Text::Reset { code } | Text::SecondFactor { code } => {
            (None, *code)
        }
        Text::Invitation { username, password } => (Some(*username), *password),
    };
    // A template with markup makes an HTML mail, in which what users chose must stay text.
    let html = channel == Channel::Email && template.contains('<');
    let shown = |text: &str| if html { escape(text) } else { text.to_owned() };
    // Both are filled in at once, so that nothing in a name is taken for a placeholder.
    let parts: Vec<String> =
        template.split("{username}").map(|part| part.replace("{####}", &shown(code))).collect();
    let filled = parts.join(&username.map_or_else(|| "{username}".to_owned(), shown));
    // A line break in a subject would begin another header.
    let subject = subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    (subject, Body { text: filled, code: code.to_owned(), html })
}

fn templates<'a>(pool: &'a Pool, channel: Channel, text: &Text<'_>) -> (&'a str, &'a str) {
    let model = pool.model();
    let verification = model.verification_message_template.as_ref();
    let invitation = model
        .admin_create_user_config
        .as_ref()
        .and_then(|config| config.invite_message_template.as_ref());
    // `VerificationMessageTemplate` is the newer place for what the pool's own members also hold.
    match (text, channel) {
        (Text::Invitation { .. }, Channel::Email) => (
            invitation.and_then(|template| template.email_message.as_deref()).unwrap_or(INVITATION),
            invitation
                .and_then(|template| template.email_subject.as_deref())
                .unwrap_or(INVITATION_SUBJECT),
        ),
        (Text::Invitation { .. }, Channel::Sms) => (
            invitation.and_then(|template| template.sms_message.as_deref()).unwrap_or(INVITATION),
            "",
        ),
        (Text::SecondFactor { .. }, Channel::Email) => {
            let email = pool.doc.mfa.email_mfa_configuration.as_ref();
            (
                email.and_then(|email| email.message.as_deref()).unwrap_or(SECOND_FACTOR),
                email.and_then(|email| email.subject.as_deref()).unwrap_or(SECOND_FACTOR_SUBJECT),
            )
        }
        (Text::SecondFactor { .. }, Channel::Sms) => {
            (model.sms_authentication_message.as_deref().unwrap_or(SECOND_FACTOR), "")
        }
        (text, Channel::Email) => (
            verification
                .and_then(|template| template.email_message.as_deref())
                .or(model.email_verification_message.as_deref())
                .unwrap_or(default_of(text)),
            verification
                .and_then(|template| template.email_subject.as_deref())
                .or(model.email_verification_subject.as_deref())
                .unwrap_or(VERIFICATION_SUBJECT),
        ),
        (text, Channel::Sms) => (
            verification
                .and_then(|template| template.sms_message.as_deref())
                .or(model.sms_verification_message.as_deref())
                .unwrap_or(default_of(text)),
            "",
        ),
    }
}

fn default_of(text: &Text<'_>) -> &'static str {
    match text {
        Text::Reset { .. } => RESET,
        _ => VERIFICATION,
    }
}

/// Text that stays text inside HTML.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{Pool, PoolDoc};

    fn pool() -> Pool {
        Pool {
            id: "us-east-1_Test12345".into(),
            doc: PoolDoc::default(),
            ver: 1,
            epoch_ms: 0,
            longest_token_ms: 0,
            created_ms: 0,
            modified_ms: 0,
        }
    }

    #[test]
    fn a_pool_without_templates_uses_cognitos_words() {
        let (subject, body) =
            compose(&pool(), Channel::Email, &Text::Verification { code: "123456" });
        assert_eq!(
            (subject.as_str(), body.text.as_str()),
            ("Your verification code", "Your confirmation code is 123456")
        );
        let invitation = Text::Invitation { username: "ann", password: "Pw" };
        let (subject, body) = compose(&pool(), Channel::Email, &invitation);
        assert_eq!(subject, "Your temporary password");
        assert_eq!(body.text, "Your username is ann and temporary password is Pw.");
    }

    #[test]
    fn a_name_cannot_bring_markup_or_placeholders_into_a_mail() {
        let mut pool = pool();
        let template = cenote_interface::types::MessageTemplateType {
            email_message: Some("<p>{username}: {####}</p>".into()),
            email_subject: Some("Hello\nBcc: all".into()),
            sms_message: None,
        };
        let config = pool.doc.model.admin_create_user_config.get_or_insert_default();
        config.invite_message_template = Some(template);
        let (subject, body) = compose(
            &pool,
            Channel::Email,
            &Text::Invitation { username: "<b>{####}", password: "a&b" },
        );
        assert_eq!(subject, "Hello Bcc: all");
        assert_eq!(body.text, "<p>&lt;b&gt;{####}: a&amp;b</p>");
        assert!(body.html);
    }
}

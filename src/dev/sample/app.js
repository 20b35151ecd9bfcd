// An application that signs in, watches its tokens, and signs out. This file is what an application of yours would have too: no
// library, no build step, what you read is what runs. Its other half, view.js, only draws.

import * as view from './view.js'

// The configuration. These ids are the same in every `cenote dev`.
const POOL = 'us-east-1_CenoteDev'
const CLIENT = 'cenotedevpublicclient00001'
// The hosted pages and the OAuth endpoints of the pool.
const PAGES = `${location.origin}/${POOL}`
// Where they come back to: one of the client's CallbackURLs and of its LogoutURLs, to the letter.
const HERE = `${location.origin}/sample`
// The last one lets the access token call GetUser and the other operations of users.
const SCOPE = 'openid email phone profile aws.cognito.signin.user.admin'

// --- Signing in: authorization code with PKCE (RFC 6749, section 4.1; RFC 7636) ---

/** Sends the browser to a hosted page that ends in a sign-in. The password is typed there; this page never sees it. */
async function visit(page, more = {}) {
  const flow = { state: random(), nonce: random(), verifier: random() }
  sessionStorage.setItem('flow', JSON.stringify(flow))
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: CLIENT,
    redirect_uri: HERE,
    scope: SCOPE,
    state: flow.state,
    nonce: flow.nonce,
    code_challenge: await sha256(flow.verifier),
    code_challenge_method: 'S256',
    ...more,
  })
  location.assign(`${PAGES}${page}?${query}`)
}

/** Back from the hosted pages, with a code in the address or the reason why there is none. */
async function comeBack(answer) {
  const flow = JSON.parse(sessionStorage.getItem('flow'))
  sessionStorage.removeItem('flow')
  // A code works once. It must not be reloaded, bookmarked or shared.
  history.replaceState(null, '', HERE)
  // Somebody may have sent us here with a code of his own, to have us work in his account.
  if (!flow || answer.get('state') !== flow.state) throw new Error('This answer belongs to no sign-in that this tab began.')
  if (answer.has('error')) throw new Error(answer.get('error_description') ?? answer.get('error'))
  const fresh = await token({
    grant_type: 'authorization_code',
    code: answer.get('code'),
    redirect_uri: HERE,
    // Who stole the code on its way here does not know this.
    code_verifier: flow.verifier,
  })
  // The ID token must answer our question. Its signature needs no check: it came straight from its issuer (OIDC Core, 3.1.3.7).
  if (view.decode(fresh.id_token).claims.nonce !== flow.nonce) throw new Error('The ID token answers another sign-in.')
  keep(fresh)
}

/** The token endpoint. The client is public: it has no secret to send. */
async function token(parameters) {
  const body = new URLSearchParams({ client_id: CLIENT, ...parameters })
  const { ok, answer, name } = await timed(`POST /oauth2/token, ${parameters.grant_type}`, `${PAGES}/oauth2/token`, { body })
  if (!ok) throw new Error(`${name}: ${answer.error_description ?? answer.error}`)
  return answer
}

/** New access and ID tokens. The refresh token stays the same, unless the client rotates it. */
async function refresh() {
  keep({ ...tokens, ...(await token({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token })) })
  await watch()
}

// --- The tokens. They live in this tab, and end with it ---

let tokens = JSON.parse(sessionStorage.getItem('tokens'))

function keep(fresh) {
  tokens = fresh
  sessionStorage.setItem('tokens', JSON.stringify(fresh))
  view.tokens(fresh)
}

function forget() {
  tokens = null
  sessionStorage.removeItem('tokens')
}

// --- Using them: operations of the Cognito API, which take the access token as their only credential ---

/** `POST /` with the operation's name in a header. The AWS SDKs do the same. */
function call(operation, input) {
  return timed(operation, '/', {
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `AWSCognitoIdentityProviderService.${operation}`,
    },
    body: JSON.stringify(input),
  })
}

/** Asks whether the token still counts, and shows the answer. */
async function watch() {
  if (!tokens) return
  const number = ++asked
  const AccessToken = tokens.access_token
  const user = await call('GetUser', { AccessToken })
  // An answer that was overtaken by a younger one, or is about a token that has been replaced, says nothing about now.
  if (number < shown || AccessToken !== tokens?.access_token) return
  shown = number
  view.verdict(user, cause)
  if (user.ok) view.sessions(await call('ListUserSessions', { AccessToken }), revoke)
}

let asked = 0
let shown = 0

// --- Signing out ---

/** Ends every session of the user that holds tokens, here and elsewhere. Browsers stay signed in at the hosted pages, as in Cognito. */
function signOutEverywhere() {
  return ending('Sign out everywhere', 'GlobalSignOut', { AccessToken: tokens.access_token })
}

/** Ends the tokens of this tab, then the browser's session at the hosted pages, which send it back here. */
async function signOutHere() {
  await ending('Sign out here', 'RevokeToken', { ClientId: CLIENT, Token: tokens.refresh_token })
  view.leave()
  sessionStorage.setItem('signout', followed ?? '')
  forget()
  location.assign(`${PAGES}/logout?${new URLSearchParams({ client_id: CLIENT, logout_uri: HERE })}`)
}

/** Ends one other session; `linked` takes along what came through it, or what it came through. */
function revoke(SessionId, linked) {
  const more = linked ? { RevokeAssociatedSessions: 'LINKED' } : {}
  return ending('Revoke this session', 'RevokeUserSession', { AccessToken: tokens.access_token, SessionId, ...more })
}

/** Makes the call, then asks at once whether our own token still counts. */
async function ending(button, operation, input) {
  cause = { button, pressed: performance.now() }
  try {
    const { ok, answer, signout } = await call(operation, input)
    if (!ok) throw new Error(`${operation} was refused: ${answer.message}`)
    if (signout) follow(signout)
    await watch()
  } finally {
    cause = null
  }
}

/** What was pressed and is under way. */
let cause = null

/** The receipt of a sign-out, shown as those who are to learn of it do. `wait` has the server answer once all have, or after so many
 * seconds: a program that only wants to know when all is done asks once with 30. cenote dev shows receipts to every caller on this
 * machine; elsewhere send an access token from the user's next sign-in. */
async function follow(signout) {
  followed = signout
  // A server that is away, or a receipt that stays as it is, is not asked for ever.
  for (let round = 0; round < 200 && followed === signout; round++) {
    const wait = round === 0 ? 0 : 1
    try {
      const response = await fetch(`${location.origin}/${POOL}/sign-outs/${signout}?wait=${wait}`, { credentials: 'omit' })
      if (!response.ok) return
      const receipt = await response.json()
      if (followed === signout) view.receipt(receipt)
      if (receipt.complete) return
    } catch {
      // The next beat says that the server does not answer.
    }
    await new Promise(resolve => setTimeout(resolve, round === 0 ? 50 : 500))
  }
}

/** The sign-out whose receipt is shown. */
let followed = null

// --- Small things ---

/** One request, without cookies, and the time that it took. A server that does not answer is no refusal: it throws. */
async function timed(name, url, options) {
  const began = performance.now()
  const response = await fetch(url, { method: 'POST', credentials: 'omit', ...options })
  const answer = await response.json()
  const signout = response.headers.get('x-cenote-signout')
  const result = { name, ok: response.ok, status: response.status, answer, signout, ms: performance.now() - began }
  view.log(result)
  return result
}

/** 256 random bits, as a PKCE verifier may be written. */
function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)))
}

async function sha256(text) {
  return base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))))
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

// --- From here it runs ---

view.providers(identity_provider => visit('/oauth2/authorize', { identity_provider }))
view.on({
  'sign-in': () => visit('/oauth2/authorize'),
  'sign-in-again': () => visit('/oauth2/authorize'),
  'sign-up': () => visit('/signup'),
  'forgot-password': () => visit('/forgotPassword'),
  refresh,
  'sign-out-here': signOutHere,
  'sign-out-everywhere': signOutEverywhere,
})

const answer = new URLSearchParams(location.search)
if (answer.has('state')) await view.attempt(() => comeBack(answer))
view.begin(tokens)
const signedOut = sessionStorage.getItem('signout')
sessionStorage.removeItem('signout')
if (signedOut) follow(signedOut)
const beat = () => watch().catch(view.unreachable)
beat()
setInterval(beat, 2000)

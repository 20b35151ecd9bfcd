// Draws the sample: what the tokens say, the verdicts, the sessions, the log. Everything becomes text nodes, never HTML, because claims,
// devices and messages are what somebody else wrote.

const at = id => document.getElementById(id)

/** Claims and header of a JSON Web Token, as they are written. Nothing is verified: that is the work of whom the token is for. */
export function decode(token) {
  const read = part => {
    const bytes = Uint8Array.from(atob(part.replaceAll('-', '+').replaceAll('_', '/')), letter => letter.charCodeAt(0))
    return JSON.parse(new TextDecoder().decode(bytes))
  }
  const [header, claims] = token.split('.').slice(0, 2).map(read)
  return { header, claims }
}

// --- The page ---

/** Connects buttons with what they do. One thing at a time: a second press while the first works is none. */
export function on(actions) {
  for (const [id, action] of Object.entries(actions)) at(id).onclick = () => attempt(action)
}

let busy = false

/** Runs an action, and says what went wrong. */
export async function attempt(action) {
  if (busy) return
  busy = true
  say('')
  try {
    await action()
  } catch (error) {
    unreachable(error)
  } finally {
    busy = false
  }
}

/** No answer at all is no refusal, and is not shown as one. */
export function unreachable(error) {
  const lost = error instanceof TypeError || error instanceof SyntaxError
  say(lost ? LOST : error.message)
}

const LOST = 'The server does not answer. Is cenote dev still running?'

function say(text) {
  const problem = at('problem')
  if (problem.textContent !== text) problem.textContent = text
  problem.hidden = text === ''
}

/** One button for each other place where users of the client may sign in; the server says which in a meta element. */
export function providers(signIn) {
  const names = JSON.parse(document.querySelector('meta[name=providers]').content)
  const demonstration = names.some(name => ['DemoOIDC', 'DemoSAML'].includes(name))
  at('elsewhere').hidden = names.length === 0
  at('demonstration').hidden = !demonstration
  at('try-provider').hidden = !demonstration
  at('providers').replaceChildren(
    ...names.map(name => {
      const button = make('button', `Sign in with ${name}`)
      button.onclick = () => attempt(() => signIn(name))
      return button
    }),
  )
}

export function begin(held) {
  at('welcome').hidden = Boolean(held)
  at('signed-in').hidden = !held
  if (held) tokens(held)
  const farewell = JSON.parse(sessionStorage.getItem('farewell'))
  sessionStorage.removeItem('farewell')
  at('farewell').hidden = !farewell || Boolean(held)
  if (!farewell) return
  const gone = make('p', GONE)
  if (farewell.elsewhere) gone.textContent += ` ${ELSEWHERE}`
  at('farewell').replaceChildren(make('h2', farewell.verdict), make('p', farewell.detail), gone)
}

const GONE = 'The hosted pages have forgotten this browser, too: the next sign-in asks again.'
const ELSEWHERE = 'Where this session came through an identity provider that takes part in sign-outs, the one there is over, too.'

/** The last verdict, for the page that the hosted pages will send the browser back to. */
export function leave() {
  const last = { verdict: at('verdict').textContent, detail: at('detail').textContent, elsewhere: !at('identities').hidden }
  sessionStorage.setItem('farewell', JSON.stringify(last))
}

// --- The verdict on the access token ---

let accepted = null
let alive = null

/** Shows the answer to GetUser. The moment in which it turns from yes to no stands out, with what caused it. */
export function verdict({ ok, status, answer, ms }, cause) {
  const late = answer.__type === 'TooManyRequestsException'
  if (!ok && (late || status !== 400)) return unreachable(new Error(`GetUser was not answered: ${answer.message ?? status}`))
  if (at('problem').textContent === LOST) say('')
  const expired = expiries[0].exp * 1000 <= Date.now()
  if (ok) {
    accepted = performance.now()
    headline('Accepted', `${answer.Username} is signed in. Answered in ${duration(ms)}.`)
  } else if (alive !== false) {
    const hint = expired ? EXPIRED : STATELESS
    headline(expired ? 'Expired' : `Refused${how(cause)}`, `“${answer.message}”. ${hint}`)
    at('pulse').scrollIntoView({ block: 'nearest' })
  }
  at('pulse').className = ok ? 'pulse accepted' : 'pulse refused'
  at('sign-in-again').hidden = ok
  at('answer').textContent = JSON.stringify(answer, null, 2)
  at('tokens').classList.toggle('dead', !ok && !expired)
  if (!ok) sessions({ ok, answer: { message: 'Who has no living token is not told.' } })
  alive = ok
  const beat = make('span', '', { className: ok ? 'yes' : 'no', title: `${clock()}: ${ok ? 'accepted' : 'refused'}` })
  at('strip').append(beat)
  while (at('strip').children.length > 60) at('strip').firstChild.remove()
}

const EXPIRED = 'Refresh the tokens to go on.'
const STATELESS = 'By its signature and its expiry alone it would still pass; the server knows more.'

function how(cause) {
  if (cause) return ` ${duration(performance.now() - cause.pressed)} after you pressed ${cause.button}`
  return accepted === null ? '' : `; ${duration(performance.now() - accepted)} ago it was accepted, so it was ended elsewhere`
}

function headline(text, detail) {
  // Screen readers are told of changes, not of every beat.
  if (at('verdict').textContent !== text) at('verdict').textContent = text
  at('detail').textContent = detail
}

// --- The receipt of a sign-out ---

/** Who has learned of it, who has not, and until when anybody may still accept what it ended. */
export function receipt(told) {
  const { consumers, caught_up, behind } = told.feed
  const until = time => (time ? `until ${new Date(time).toLocaleTimeString()}` : 'without an end that anybody knows')
  const over = time => time && Date.parse(time) <= Date.now()
  const parties = [
    ...behind.map(({ id, state, exposure_until }) => [
      id,
      `follows the feed (${state.toLowerCase()}) and has not said that it knows; ` +
        (over(exposure_until) ? 'it accepts nothing by now that it cannot look up' : `it may accept what ended ${until(exposure_until)}`),
      'waiting',
    ]),
    ...(caught_up ? [[`${caught_up} of ${consumers}`, 'who follow the feed know it', 'yes']] : []),
    ...told.deliveries.map(({ kind, target, state, ms, detail }) => [
      `${DELIVERIES[kind] ?? kind} ${target}`,
      state === 'done' ? `told after ${duration(ms)}` : [STATES[state] ?? state, detail].filter(Boolean).join(': '),
      state === 'done' ? 'yes' : state === 'pending' ? 'waiting' : 'no',
    ]),
    ...told.upstream.map(({ provider, state, detail }) => [
      provider,
      ['done', 'revoked', 'satisfied'].includes(state) ? 'its session is over, too' : [STATES[state] ?? state, detail].filter(Boolean).join(': '),
      ['done', 'revoked', 'satisfied'].includes(state) ? 'yes' : ['pending', 'browser'].includes(state) ? 'waiting' : 'no',
    ]),
  ]
  const open = parties.filter(([, , mark]) => mark !== 'yes').length
  const all = parties.length ? 'Everyone who is to know of it knows' : 'Nobody else had to be told'
  const headline = told.complete ? all : open ? `${open} still to learn of it` : 'Being told …'
  if (at('receipt-title').textContent !== headline) at('receipt-title').textContent = headline
  at('receipt').className = told.complete ? 'pulse accepted' : 'pulse'
  at('receipt-parties').replaceChildren(
    ...parties.map(([name, text, mark]) => {
      const item = make('li', '')
      item.append(make('strong', name), make('span', text, { className: mark }))
      return item
    }),
  )
  at('receipt-nobody').hidden = parties.length > 0
  const safe = told.registered_exposure_until === told.committed_at
  at('receipt-exposure').textContent =
    (safe ? 'Nobody who is registered accepts what ended any more. ' : `Somebody who is registered may accept it ${until(told.registered_exposure_until)}. `) +
    `A server that looks at signature and expiry alone does, ${until(told.exposure_until)}.`
  at('receipt-json').textContent = JSON.stringify(told, null, 2)
  // Below what it is the receipt of.
  const place = at(at('signed-in').hidden ? 'farewell' : 'pulse')
  if (place.nextElementSibling !== at('receipt')) place.after(at('receipt'))
  at('receipt').hidden = false
}

const DELIVERIES = { backchannel: 'app client', webhook: 'webhook', ssf: 'event stream', token_revocation: 'token revocation at' }
const STATES = {
  pending: 'is being told',
  browser: 'the browser is on its way there',
  dead: 'could not be told',
  failed: 'could not be told',
  not_possible: 'cannot be told',
  fresh: 'cannot be told; the next sign-in there must be a fresh one',
  left: 'is not to be told',
}

// --- Tokens ---

let expiries = []

export function tokens({ access_token, id_token, refresh_token }) {
  alive = null
  expiries = []
  at('tokens').replaceChildren(
    jwt('Access token', 'for APIs: says who may do what', access_token),
    jwt('ID token', 'for this page: says who signed in', id_token),
    card(
      make('h3', 'Refresh token'),
      make('p', 'for the token endpoint: gives new tokens'),
      make('p', `${refresh_token.length} characters that only the server can read.`),
    ),
  )
  identities(decode(id_token).claims.identities ?? [])
  tick()
}

function identities(known) {
  at('identities').hidden = known.length === 0
  at('identity-list').replaceChildren(
    ...known.map(({ providerName, providerType, userId, issuer }) => {
      const list = make('dl', '')
      const facts = [['Kind', providerType], ['Known as', userId], ...(issuer ? [['Issuer', issuer]] : [])]
      for (const [name, value] of facts) list.append(make('dt', name), make('dd', value))
      const item = make('li', '', { className: 'card' })
      item.append(make('h3', providerName), list)
      return item
    }),
  )
}

function jwt(name, purpose, token) {
  const { header, claims } = decode(token)
  const [left, bar] = [make('p', '', { className: 'left' }), make('progress', '', { max: claims.exp - claims.iat })]
  bar.setAttribute('aria-label', `${name}: remaining time`)
  expiries.push({ exp: claims.exp, left, bar })
  return card(
    make('h3', name),
    make('p', purpose),
    left,
    bar,
    decoded('Header', header),
    decoded('Claims', claims),
  )
}

function decoded(name, part) {
  const details = make('details', '', { open: matchMedia('(min-width: 40rem)').matches })
  details.append(make('summary', name), make('pre', JSON.stringify(part, null, 2)))
  return details
}

function tick() {
  for (const { exp, left, bar } of expiries) {
    const seconds = Math.max(0, Math.round(exp - Date.now() / 1000))
    const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
    const remaining = parts.map(part => String(part).padStart(2, '0')).join(':')
    left.textContent = seconds ? `Expires in ${remaining}` : `Expired at ${date(exp)}`
    bar.value = seconds
  }
}

setInterval(tick, 1000)

// --- Sessions ---

let listed = ''

/** Drawn again only when something changed: a button that is about to be pressed must not go away. */
export function sessions({ ok, answer }, revoke) {
  const state = JSON.stringify(answer)
  if (state === listed) return
  listed = state
  if (!ok) return at('sessions').replaceChildren(make('li', answer.message, { className: 'card' }))
  const current = answer.Sessions.find(session => session.IsCurrentSession)
  const list = answer.Sessions.toSorted((one, other) => other.IsCurrentSession - one.IsCurrentSession)
  const focused = document.activeElement?.dataset.session
  at('sessions').replaceChildren(...list.map(session => drawn(session, current, revoke)))
  // The keyboard stays where it was, or comes back to the heading where its button is gone.
  if (focused) (document.querySelector(`[data-session="${CSS.escape(focused)}"]`) ?? at('sessions-title')).focus()
}

function drawn(session, current, revoke) {
  const isToken = session.SessionType === 'TOKEN'
  const { City, Country } = session.LastLocation ?? {}
  const place = Country === 'unknown' ? 'country unknown' : [City, Country].filter(Boolean).join(', ')
  const facts = [
    ['Kind', isToken ? 'token session' : 'browser session'],
    ['Place', `${session.LastIPAddress || 'unknown address'}, ${place}`],
    ['Since', date(session.CreateDate)],
    ['Last active', date(session.LastActiveDate)],
    ['Id', session.SessionId],
    ...(session.OriginSessionId ? [['Came through', session.OriginSessionId]] : []),
  ]
  const title = make('h3', session.DeviceType || 'Unknown device')
  if (session.IsCurrentSession) title.append(make('span', 'this tab', { className: 'badge' }))
  if (session.SessionId === current?.OriginSessionId) title.append(make('span', 'this browser', { className: 'badge' }))
  const end = make('button', 'Revoke this session', { className: 'end' })
  end.dataset.session = session.SessionId
  end.onclick = () => attempt(() => revoke(session.SessionId, at('linked').checked))
  const list = make('dl', '')
  for (const [name, value] of facts) list.append(make('dt', name), make('dd', value))
  const item = make('li', '', { className: 'card' })
  item.append(title, list, session.IsCurrentSession ? make('p', 'Sign out here ends this one.') : end)
  return item
}

// --- The log ---

/** What somebody pressed, and what was refused; not every beat. */
export function log({ name, ok, ms, answer }) {
  if (['GetUser', 'ListUserSessions'].includes(name)) return
  const text = `${name}: ${ok ? 'done' : `refused (${answer.message ?? answer.error_description ?? answer.error})`}`
  const item = make('li', '')
  item.append(make('time', clock()), make('span', text, { className: ok ? 'yes' : 'no' }), make('span', duration(ms)))
  at('calls').prepend(item)
  while (at('calls').children.length > 20) at('calls').lastChild.remove()
}

// --- Small things ---

function make(tag, text, properties = {}) {
  return Object.assign(document.createElement(tag), { textContent: text }, properties)
}

function card(...children) {
  const card = make('div', '', { className: 'card' })
  card.append(...children)
  return card
}

const clock = () => new Date().toLocaleTimeString()
const date = seconds => (seconds ? new Date(seconds * 1000).toLocaleString() : 'unknown')
const duration = ms => (ms < 995 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`)

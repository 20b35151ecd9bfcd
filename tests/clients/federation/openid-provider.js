// oidc-provider as OpenID provider, with pages of two lines: who is it, and a question before the sign-out.

import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'

import Provider from 'oidc-provider'

import { Gate } from './gate.js'

/** Everybody has an account; who is called Bob has not shown that the address is his. */
function claimsOf(sub) {
  const bob = sub.startsWith('bob')
  const names = bob ? { given_name: 'Bob', family_name: 'Builder' } : { given_name: 'Ann', family_name: 'Müller & <Söhne>' }
  return { sub, email: `${sub}@example.net`, email_verified: !bob, groups: bob ? ['staff'] : ['staff', 'admins'], ...names }
}

/** `fetch` is what it calls relying parties with. */
export async function startOpenIdProvider({ fetch = globalThis.fetch } = {}) {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const gate = await Gate.open(server.address().port)
  const events = []
  const keys = [signingKey('RS256'), signingKey('ES256')]
  const provider = new Provider(gate.origin, {
    // Its own guard against addresses like these would refuse the relying party under test.
    fetch: (url, { method, body, headers, signal, redirect }) => fetch(url, { method, body, headers: Object.fromEntries(headers), signal, redirect }),
    jwks: { keys },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['given_name', 'family_name', 'groups'] },
    scopes: ['openid', 'email', 'profile', 'offline_access'],
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
    ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 3600, IdToken: 600, Interaction: 600, RefreshToken: 3600, Session: 3600 },
    issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
    findAccount: (_, sub) => ({ accountId: sub, claims: () => claimsOf(sub) }),
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      revocation: { enabled: true, allowedPolicy: (_, client, token) => token.clientId === client.clientId },
      introspection: { enabled: true },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        logoutSource: (ctx, form) => {
          ctx.body = page('Sign out?', `${form}<button form="op.logoutForm" name=logout value=yes>Yes, sign me out</button>`)
        },
        postLogoutSuccessSource: ctx => {
          ctx.body = page('Signed out at oidc-provider', '')
        },
      },
    },
    async loadExistingGrant({ oidc }) {
      const known = oidc.session.grantIdFor(oidc.client.clientId)
      const found = known && (await provider.Grant.find(known))
      if (found) return found
      // Nobody is asked for consent, also not anew after the old one was taken back.
      const grant = new provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId })
      grant.addOIDCScope('openid email profile offline_access')
      await grant.save()
      return grant
    },
    renderError: (ctx, out) => {
      ctx.type = 'html'
      ctx.body = page('Refused', `<pre id=error>${JSON.stringify(out).replaceAll('<', '&lt;')}</pre>`)
    },
  })
  for (const name of ['backchannel.success', 'backchannel.error', 'grant.revoked', 'end_session.success', 'server_error']) {
    provider.on(name, (...args) => events.push({ name, error: args.find(arg => arg instanceof Error)?.message }))
  }
  const answer = provider.callback()
  server.on('request', (request, response) => {
    if (!request.url.startsWith('/interaction/')) return answer(request, response)
    interaction(provider, request, response).catch(error => response.writeHead(400).end(String(error)))
  })
  return {
    gate,
    provider,
    events,
    issuer: gate.origin,
    /** What it signs with, for tokens that it would not make. */
    signingKey(alg) {
      const jwk = keys.find(key => key.alg === alg)
      return { kid: jwk.kid, key: createPrivateKey({ format: 'jwk', key: jwk }) }
    },
    /** Registers a relying party (RFC 7591); answers what it was given. */
    async register(metadata) {
      const response = await globalThis.fetch(`${gate.origin}/reg`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], ...metadata }),
      })
      const client = await response.json()
      if (response.status !== 201) throw new Error(JSON.stringify(client))
      return client
    },
    async stop() {
      await gate.unplug()
      server.closeAllConnections()
      server.close()
    },
  }
}

async function interaction(provider, request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response)
  if (request.method === 'POST') {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const form = new URLSearchParams(Buffer.concat(chunks).toString())
    const refused = { error: 'access_denied', error_description: 'The person did not want to' }
    const result = form.has('cancel') ? refused : { login: { accountId: form.get('user'), remember: false } }
    return provider.interactionFinished(request, response, result)
  }
  const hint = (params.login_hint ?? '').replace(/[^\w@.]/g, '')
  const form = `<form method=post><input name=user value="${hint}" autocomplete=off>
    <button>Sign in</button> <button name=cancel>Cancel</button></form>`
  response.writeHead(200, { 'content-type': 'text/html' }).end(page(`oidc-provider asks for ${prompt.name}`, form))
}

const page = (title, body) => `<!doctype html><html lang=en><title>${title}</title><h1>${title}</h1>${body}`

function signingKey(alg) {
  const { privateKey } =
    alg === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: 2048 }) : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${randomBytes(4).toString('hex')}` }
}

/** Fills in its sign-in page. */
export async function signInAtOpenIdProvider(page, user) {
  await page.locator('input[name=user]').fill(user)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
}

/** Answers its question. */
export async function confirmSignOut(page) {
  await page.getByRole('button', { name: 'Yes, sign me out' }).click()
}

// aws-jwt-verify: what resource servers on Node use. Its CognitoJwtVerifier knows only AWS's own addresses, so the general
// verifier is told ours, as the documentation of the library proposes for other issuers.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { GetTokensFromRefreshTokenCommand, InitiateAuthCommand } from '@aws-sdk/client-cognito-identity-provider'
import { JwtVerifier } from 'aws-jwt-verify'
import { validateCognitoJwtFields } from 'aws-jwt-verify/cognito-verifier'
import { SimpleJwksCache } from 'aws-jwt-verify/jwk'

import { PASSWORD, administrator, attachOrStart, makePool } from '../support.js'

let server, idp, pool, clientId, tokens

before(async () => {
  server = await attachOrStart()
  idp = administrator(server)
  pool = await makePool(idp)
  clientId = await pool.app()
  tokens = await signIn(pool, clientId)
})

after(async () => {
  await pool?.delete()
  await server?.stop()
})

async function signIn(pool, ClientId) {
  const answer = await idp.send(
    new InitiateAuthCommand({
      ClientId,
      AuthFlow: 'USER_PASSWORD_AUTH',
      AuthParameters: { USERNAME: await pool.user(), PASSWORD },
    }),
  )
  return answer.AuthenticationResult
}

function verifier(tokenUse, expected = clientId) {
  const issuer = `${server.endpoint}/${pool.id}`
  // The library's own fetcher speaks https only.
  const fetcher = { fetch: async uri => (await fetch(uri)).arrayBuffer() }
  return JwtVerifier.create(
    {
      issuer,
      jwksUri: `${issuer}/.well-known/jwks.json`,
      audience: null,
      customJwtCheck: ({ payload }) => validateCognitoJwtFields(payload, { tokenUse, clientId: expected }),
    },
    { jwksCache: new SimpleJwksCache({ fetcher }) },
  )
}

test('both tokens verify, each in its use', async () => {
  assert.equal((await verifier('access').verify(tokens.AccessToken)).client_id, clientId)
  assert.equal((await verifier('id').verify(tokens.IdToken)).aud, clientId)
})

test('a refreshed token verifies', async () => {
  const fresh = await idp.send(
    new GetTokensFromRefreshTokenCommand({ ClientId: clientId, RefreshToken: tokens.RefreshToken }),
  )
  assert.ok(await verifier('access').verify(fresh.AuthenticationResult.AccessToken))
})

test('a token in the wrong place is refused', async () => {
  await assert.rejects(verifier('access').verify(tokens.IdToken))
  await assert.rejects(verifier('id').verify(tokens.AccessToken))
  await assert.rejects(verifier('access', await pool.app()).verify(tokens.AccessToken))
})

test('a token of another pool is refused', async () => {
  const other = await makePool(idp)
  const foreign = await signIn(other, await other.app())
  await assert.rejects(verifier('access').verify(foreign.AccessToken))
  await other.delete()
})

test('a changed token is refused', async () => {
  const [head, , signature] = tokens.AccessToken.split('.')
  const body = Buffer.from(JSON.stringify({ ...decode(tokens.AccessToken), username: 'admin' })).toString('base64url')
  await assert.rejects(verifier('access').verify(`${head}.${body}.${signature}`))
})

function decode(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))
}

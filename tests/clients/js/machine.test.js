// A program without a user: openid-client's client credentials and introspection, and the same token by the AWS SDK, checked by
// aws-jwt-verify.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import {
  CreateResourceServerCommand,
  CreateUserPoolClientCommand,
  DeleteResourceServerCommand,
  DeleteUserPoolClientCommand,
  GetClientTokenCommand,
} from '@aws-sdk/client-cognito-identity-provider'
import { JwtVerifier } from 'aws-jwt-verify'
import { validateCognitoJwtFields } from 'aws-jwt-verify/cognito-verifier'
import { SimpleJwksCache } from 'aws-jwt-verify/jwk'
import * as oidc from 'openid-client'

import { administrator, attachOrStart, trusting, unique } from '../support.js'

let server, idp, fetch, api
const clients = []

before(async () => {
  server = await attachOrStart()
  idp = administrator(server)
  fetch = trusting(server)
  api = `https://${unique('api')}.example.com`
  await idp.send(
    new CreateResourceServerCommand({
      UserPoolId: server.user_pool_id,
      Identifier: api,
      Name: 'Photos',
      Scopes: [
        { ScopeName: 'read', ScopeDescription: 'look' },
        { ScopeName: 'write', ScopeDescription: 'change' },
      ],
    }),
  )
})

after(async () => {
  for (const ClientId of clients) {
    await idp.send(new DeleteUserPoolClientCommand({ UserPoolId: server.user_pool_id, ClientId }))
  }
  await idp.send(new DeleteResourceServerCommand({ UserPoolId: server.user_pool_id, Identifier: api }))
  await server?.stop()
})

/** An app client of one's own, with both scopes unless told otherwise. */
async function program(settings) {
  const { UserPoolClient: client } = await idp.send(
    new CreateUserPoolClientCommand({
      UserPoolId: server.user_pool_id,
      ClientName: unique('program'),
      GenerateSecret: true,
      AllowedOAuthFlows: ['client_credentials'],
      AllowedOAuthScopes: [`${api}/read`, `${api}/write`],
      AllowedOAuthFlowsUserPoolClient: true,
      ...settings,
    }),
  )
  clients.push(client.ClientId)
  return client
}

function relyingParty(client, authentication = oidc.ClientSecretBasic) {
  return oidc.discovery(new URL(server.issuer), client.ClientId, undefined, authentication(client.ClientSecret), {
    execute: [oidc.allowInsecureRequests],
    [oidc.customFetch]: fetch,
  })
}

test('a client gets a token for itself and learns that it lives', async () => {
  const client = await program()
  for (const authentication of [oidc.ClientSecretBasic, oidc.ClientSecretPost]) {
    const config = await relyingParty(client, authentication)
    const tokens = await oidc.clientCredentialsGrant(config, { scope: `${api}/read` })
    assert.equal(tokens.refresh_token, undefined)
    const told = await oidc.tokenIntrospection(config, tokens.access_token)
    assert.equal(told.active, true)
    assert.equal(told.client_id, client.ClientId)
    assert.equal(told.scope, `${api}/read`)
    const { issuer, jwks_uri: jwksUri } = config.serverMetadata()
    const verifier = JwtVerifier.create(
      {
        issuer,
        jwksUri,
        audience: null,
        customJwtCheck: ({ payload }) =>
          validateCognitoJwtFields(payload, { tokenUse: 'access', clientId: client.ClientId, scope: `${api}/read` }),
      },
      // The library's own fetcher speaks https only.
      { jwksCache: new SimpleJwksCache({ fetcher: { fetch: async uri => (await globalThis.fetch(uri)).arrayBuffer() } }) },
    )
    assert.equal((await verifier.verify(tokens.access_token)).sub, client.ClientId)
  }
})

test('another client of the pool is told nothing of it', async () => {
  const [mine, other] = [await relyingParty(await program()), await relyingParty(await program())]
  const tokens = await oidc.clientCredentialsGrant(mine)
  assert.deepEqual({ ...(await oidc.tokenIntrospection(other, tokens.access_token)) }, { active: false })
})

test('a scope of nobody and a wrong secret are refused', async () => {
  const client = await program()
  const config = await relyingParty(client)
  const failsWith = error => cause => {
    assert.equal(cause.error, error, cause.stack)
    return true
  }
  await assert.rejects(oidc.clientCredentialsGrant(config, { scope: `${api}/delete` }), failsWith('invalid_scope'))
  await assert.rejects(oidc.clientCredentialsGrant(config, { scope: 'openid' }), failsWith('invalid_scope'))
  const wrong = await relyingParty({ ...client, ClientSecret: 'wrong'.repeat(10) })
  await assert.rejects(oidc.clientCredentialsGrant(wrong), failsWith('invalid_client'))
})

test('the AWS SDK gets the same by GetClientToken', async () => {
  const client = await program({
    ExplicitAuthFlows: ['ALLOW_CLIENT_TOKEN_AUTH'],
    AllowedOAuthFlows: undefined,
    AllowedOAuthFlowsUserPoolClient: false,
  })
  const answer = await idp.send(
    new GetClientTokenCommand({ ClientId: client.ClientId, Secret: client.ClientSecret, Scopes: [`${api}/write`] }),
  )
  const result = answer.ClientAuthenticationResult
  assert.equal(result.TokenType, 'Bearer')
  const claims = JSON.parse(Buffer.from(result.AccessToken.split('.')[1], 'base64url'))
  assert.equal(claims.scope, `${api}/write`)
  assert.equal(claims.sub, client.ClientId)
})

// @aws-sdk/client-cognito-identity-provider, unchanged but for `endpoint`.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import {
  AdminGetUserCommand,
  AdminUserGlobalSignOutCommand,
  CognitoIdentityProviderClient,
  DescribeUserPoolCommand,
  GetTokensFromRefreshTokenCommand,
  GetUserCommand,
  GlobalSignOutCommand,
  InitiateAuthCommand,
  InvalidParameterException,
  ListUserSessionsCommand,
  NotAuthorizedException,
  RefreshTokenReuseException,
  ResourceNotFoundException,
  RevokeTokenCommand,
  SetUserPoolSessionConfigurationCommand,
  UserNotFoundException,
  paginateListUsers,
} from '@aws-sdk/client-cognito-identity-provider'

import { PASSWORD, administrator, attachOrStart, makePool } from '../support.js'

let server, idp, pool, client, ann

before(async () => {
  server = await attachOrStart()
  idp = administrator(server)
  pool = await makePool(idp)
  client = await pool.app()
  ann = await pool.user({ attributes: { email: 'ann@example.com', email_verified: 'true' } })
})

after(async () => {
  await pool?.delete()
  await server?.stop()
})

async function signIn(ClientId = client, Username = ann) {
  const answer = await idp.send(
    new InitiateAuthCommand({
      ClientId,
      AuthFlow: 'USER_PASSWORD_AUTH',
      AuthParameters: { USERNAME: Username, PASSWORD },
    }),
  )
  return answer.AuthenticationResult
}

/** The command must fail with this class of the SDK and this text. */
async function refused(command, kind, message) {
  await assert.rejects(idp.send(command), error => {
    assert.ok(error instanceof kind, `${error.name}: ${error.message}`)
    assert.equal(error.message, message)
    assert.equal(error.$metadata.httpStatusCode, 400)
    assert.match(error.$metadata.requestId, /^[0-9a-f-]{36}$/)
    return true
  })
}

test('a password signs in and the token reads the user', async () => {
  const tokens = await signIn()
  assert.equal(tokens.TokenType, 'Bearer')
  assert.equal(tokens.ExpiresIn, 3600)
  const user = await idp.send(new GetUserCommand({ AccessToken: tokens.AccessToken }))
  assert.equal(user.Username, ann)
  assert.match(user.$metadata.requestId, /^[0-9a-f-]{36}$/)
})

test('an app signs a user in without credentials', async () => {
  const app = new CognitoIdentityProviderClient({ endpoint: server.endpoint, region: server.region, maxAttempts: 1 })
  const AuthParameters = { USERNAME: ann, PASSWORD }
  const answer = await app.send(
    new InitiateAuthCommand({ ClientId: client, AuthFlow: 'USER_PASSWORD_AUTH', AuthParameters }),
  )
  assert.ok(answer.AuthenticationResult.IdToken)
  await app.send(new GlobalSignOutCommand({ AccessToken: answer.AuthenticationResult.AccessToken }))
})

test('errors are the classes of the SDK', async () => {
  const wrong = { USERNAME: ann, PASSWORD: 'Wrong-password-1' }
  await refused(
    new InitiateAuthCommand({ ClientId: client, AuthFlow: 'USER_PASSWORD_AUTH', AuthParameters: wrong }),
    NotAuthorizedException,
    'Incorrect username or password.',
  )
  await refused(
    new AdminGetUserCommand({ UserPoolId: pool.id, Username: 'nobody' }),
    UserNotFoundException,
    'User does not exist.',
  )
  const nowhere = 'us-east-1_Nowhere00'
  await refused(
    new DescribeUserPoolCommand({ UserPoolId: nowhere }),
    ResourceNotFoundException,
    `User pool ${nowhere} does not exist.`,
  )
  await assert.rejects(
    idp.send(new DescribeUserPoolCommand({ UserPoolId: 'not a pool' })),
    error => error instanceof InvalidParameterException,
  )
})

test('dates are dates', async () => {
  const user = await idp.send(new AdminGetUserCommand({ UserPoolId: pool.id, Username: ann }))
  assert.ok(user.UserCreateDate instanceof Date)
  assert.ok(Math.abs(Date.now() - user.UserCreateDate.getTime()) < 300_000)
})

test('global sign-out ends every session, and the next sign-in works', async () => {
  const [here, there] = [await signIn(), await signIn()]
  await idp.send(new GlobalSignOutCommand({ AccessToken: here.AccessToken }))
  for (const tokens of [here, there]) {
    await refused(
      new GetUserCommand({ AccessToken: tokens.AccessToken }),
      NotAuthorizedException,
      'Access Token has been revoked',
    )
    await refused(
      new GetTokensFromRefreshTokenCommand({ ClientId: client, RefreshToken: tokens.RefreshToken }),
      NotAuthorizedException,
      'Refresh Token has been revoked',
    )
  }
  const next = await signIn()
  await idp.send(new GetUserCommand({ AccessToken: next.AccessToken }))
})

test('an administrator signs a user out', async () => {
  const tokens = await signIn()
  await idp.send(new AdminUserGlobalSignOutCommand({ UserPoolId: pool.id, Username: ann }))
  await refused(
    new GetUserCommand({ AccessToken: tokens.AccessToken }),
    NotAuthorizedException,
    'Access Token has been revoked',
  )
})

test('a revoked token ends its session only', async () => {
  const [mine, other] = [await signIn(), await signIn()]
  await idp.send(new RevokeTokenCommand({ ClientId: client, Token: mine.RefreshToken }))
  await refused(
    new GetUserCommand({ AccessToken: mine.AccessToken }),
    NotAuthorizedException,
    'Access Token has been revoked',
  )
  await idp.send(new GetUserCommand({ AccessToken: other.AccessToken }))
})

test('a rotated refresh token is replaced, and its reuse has its own class', async () => {
  const rotating = await pool.app({
    ExplicitAuthFlows: ['ALLOW_USER_PASSWORD_AUTH'],
    RefreshTokenRotation: { Feature: 'ENABLED', RetryGracePeriodSeconds: 0 },
  })
  const tokens = await signIn(rotating)
  const exchange = new GetTokensFromRefreshTokenCommand({ ClientId: rotating, RefreshToken: tokens.RefreshToken })
  const fresh = await idp.send(exchange)
  assert.notEqual(fresh.AuthenticationResult.RefreshToken, tokens.RefreshToken)
  await assert.rejects(idp.send(exchange), error => error instanceof RefreshTokenReuseException)
})

test('the sessions of a user are listed with dates', async () => {
  await idp.send(
    new SetUserPoolSessionConfigurationCommand({
      UserPoolId: pool.id,
      UserSessionTracking: 'ENABLED',
      TokenSession: { MaxPerUser: 20 },
    }),
  )
  const tokens = await signIn(client, await pool.user())
  const { Sessions } = await idp.send(new ListUserSessionsCommand({ AccessToken: tokens.AccessToken }))
  assert.equal(Sessions.length, 1)
  assert.match(Sessions[0].SessionId, /^tkn[a-z0-9]{25}$/)
  assert.ok(Sessions[0].IsCurrentSession)
  assert.ok(Sessions[0].LastActiveDate instanceof Date)
})

test('users are paged by the paginator of the SDK', async () => {
  const crowd = await makePool(idp)
  const names = []
  for (let count = 0; count < 5; count++) names.push(await crowd.user())
  const seen = []
  for await (const page of paginateListUsers({ client: idp, pageSize: 2 }, { UserPoolId: crowd.id })) {
    seen.push(...page.Users.map(user => user.Username))
  }
  assert.deepEqual(seen.sort(), names.sort())
  await crowd.delete()
})

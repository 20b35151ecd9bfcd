// amazon-cognito-identity-js, the library under Amplify's first five versions: SRP in JavaScript, pointed at us by the pool's
// `endpoint` field.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, test } from 'node:test'

import { SetUserPoolMfaConfigCommand } from '@aws-sdk/client-cognito-identity-provider'
import identity from 'amazon-cognito-identity-js'

import { OTHER_PASSWORD, PASSWORD, administrator, attachOrStart, makePool, outbox, unique } from '../support.js'

const { AuthenticationDetails, CognitoRefreshToken, CognitoUser, CognitoUserAttribute, CognitoUserPool } = identity

let server, idp, pool, ClientId

before(async () => {
  server = await attachOrStart()
  idp = administrator(server)
  pool = await makePool(idp, { AutoVerifiedAttributes: ['email'] })
  ClientId = await pool.app()
})

after(async () => {
  await pool?.delete()
  await server?.stop()
})

/** Each of the library's users keeps its tokens in its own storage, like browsers of different people. */
function storage() {
  const items = new Map()
  return {
    setItem: (key, value) => void items.set(key, value),
    getItem: key => items.get(key) ?? null,
    removeItem: key => void items.delete(key),
    clear: () => items.clear(),
  }
}

function userNamed(Username, settings = {}) {
  const Storage = storage()
  const Pool = new CognitoUserPool({ UserPoolId: pool.id, ClientId, endpoint: `${server.endpoint}/`, Storage, ...settings })
  return new CognitoUser({ Username, Pool, Storage })
}

/** A call with (…, callback) as a promise. */
function call(target, method, ...parameters) {
  return new Promise((resolve, reject) => {
    target[method](...parameters, (error, answer) => (error ? reject(error) : resolve(answer)))
  })
}

/** A call with onSuccess and onFailure as a promise. */
function handled(target, method, ...parameters) {
  return new Promise((resolve, reject) => {
    target[method](...parameters, { onSuccess: resolve, onFailure: reject, inputVerificationCode: resolve })
  })
}

function signIn(user, Password = PASSWORD) {
  const details = new AuthenticationDetails({ Username: user.getUsername(), Password })
  return new Promise((resolve, reject) => {
    user.authenticateUser(details, {
      onSuccess: session => resolve({ session }),
      onFailure: reject,
      newPasswordRequired: (attributes, required) => resolve({ attributes, required }),
      mfaSetup: name => resolve({ name }),
      totpRequired: (name, parameters) => resolve({ name, parameters }),
    })
  })
}

const refused = (name, message) => error => {
  assert.deepEqual([error.code ?? error.name, error.message], [name, message])
  return true
}

test('SRP signs in and gives a valid session', async () => {
  const user = userNamed(await pool.user({ attributes: { email: 'ann@example.com' } }))
  const { session } = await signIn(user)
  assert.ok(session.isValid())
  assert.equal(session.getIdToken().payload['cognito:username'], user.getUsername())
  const attributes = await call(user, 'getUserAttributes')
  assert.ok(attributes.some(({ Name, Value }) => Name === 'email' && Value === 'ann@example.com'))
})

test('SRP signs in many times, whatever the leading bytes of its numbers are', async () => {
  const username = await pool.user()
  for (let count = 0; count < 20; count++) assert.ok((await signIn(userNamed(username))).session.isValid())
})

test('SRP refuses a wrong password', async () => {
  const user = userNamed(await pool.user())
  await assert.rejects(signIn(user, OTHER_PASSWORD), refused('NotAuthorizedException', 'Incorrect username or password.'))
})

test('a password flow signs in too', async () => {
  const user = userNamed(await pool.user())
  user.setAuthenticationFlowType('USER_PASSWORD_AUTH')
  assert.ok((await signIn(user)).session.isValid())
})

test('a first sign-in chooses a password', async () => {
  const username = await pool.user({ permanent: false, attributes: { email: 'first@example.com' } })
  const user = userNamed(username)
  const { attributes, required } = await signIn(user)
  assert.equal(attributes.email, 'first@example.com')
  assert.deepEqual(required, [])
  const session = await handled(user, 'completeNewPasswordChallenge', OTHER_PASSWORD, {})
  assert.ok(session.isValid())
  assert.ok((await signIn(userNamed(username), OTHER_PASSWORD)).session.isValid())
})

test('a stored session is found again and refreshed', async () => {
  const user = userNamed(await pool.user())
  const { session } = await signIn(user)
  const found = await call(user, 'getSession')
  assert.equal(found.getAccessToken().getJwtToken(), session.getAccessToken().getJwtToken())
  const RefreshToken = new CognitoRefreshToken({ RefreshToken: session.getRefreshToken().getToken() })
  const fresh = await call(user, 'refreshSession', RefreshToken)
  assert.notEqual(fresh.getAccessToken().getJwtToken(), session.getAccessToken().getJwtToken())
  assert.equal(fresh.getRefreshToken().getToken(), session.getRefreshToken().getToken())
})

test('global sign-out ends the session on every device', async () => {
  const username = await pool.user()
  const [phone, laptop] = [userNamed(username), userNamed(username)]
  await signIn(phone)
  const { session } = await signIn(laptop)
  await handled(phone, 'globalSignOut')
  await assert.rejects(
    call(laptop, 'getUserAttributes'),
    refused('NotAuthorizedException', 'Access Token has been revoked'),
  )
  await assert.rejects(
    call(laptop, 'refreshSession', session.getRefreshToken()),
    refused('NotAuthorizedException', 'Refresh Token has been revoked'),
  )
  assert.ok((await signIn(laptop)).session.isValid())
})

test('sign-out revokes the tokens of this device only', async () => {
  const username = await pool.user()
  const [phone, laptop] = [userNamed(username), userNamed(username)]
  const { session } = await signIn(phone)
  await signIn(laptop)
  await new Promise((resolve, reject) => phone.signOut(error => (error ? reject(error) : resolve())))
  await assert.rejects(
    call(phone, 'refreshSession', session.getRefreshToken()),
    refused('NotAuthorizedException', 'Refresh Token has been revoked'),
  )
  assert.ok(await call(laptop, 'getUserAttributes'))
})

test('a password is changed', async () => {
  const user = userNamed(await pool.user())
  await signIn(user)
  assert.equal(await call(user, 'changePassword', PASSWORD, OTHER_PASSWORD), 'SUCCESS')
  await assert.rejects(signIn(user), refused('NotAuthorizedException', 'Incorrect username or password.'))
  assert.ok((await signIn(user, OTHER_PASSWORD)).session.isValid())
})

test('a newcomer signs up, confirms and signs in', async () => {
  const address = `${unique('new')}@example.com`
  const user = userNamed(unique('new'))
  const email = new CognitoUserAttribute({ Name: 'email', Value: address })
  const answer = await call(user.pool, 'signUp', user.getUsername(), PASSWORD, [email], null)
  assert.equal(answer.userConfirmed, false)
  await assert.rejects(signIn(user), refused('UserNotConfirmedException', 'User is not confirmed.'))
  const [{ code }] = await outbox(server, address)
  assert.equal(await call(user, 'confirmRegistration', code, true), 'SUCCESS')
  assert.ok((await signIn(user)).session.isValid())
})

test('a forgotten password is replaced', async () => {
  const address = `${unique('forgot')}@example.com`
  const user = userNamed(await pool.user({ attributes: { email: address, email_verified: 'true' } }))
  await handled(user, 'forgotPassword')
  const [{ code }] = await outbox(server, address)
  await handled(user, 'confirmPassword', code, OTHER_PASSWORD)
  assert.ok((await signIn(user, OTHER_PASSWORD)).session.isValid())
})

test('attributes are changed and removed, and the account deleted', async () => {
  const user = userNamed(await pool.user())
  await signIn(user)
  await call(user, 'updateAttributes', [new CognitoUserAttribute({ Name: 'nickname', Value: 'A' })])
  assert.ok((await call(user, 'getUserAttributes')).some(({ Name }) => Name === 'nickname'))
  await call(user, 'deleteAttributes', ['nickname'])
  assert.ok(!(await call(user, 'getUserAttributes')).some(({ Name }) => Name === 'nickname'))
  assert.equal(await call(user, 'deleteUser'), 'SUCCESS')
  await assert.rejects(signIn(user))
})

/** RFC 6238 with SHA-1, six digits and steps of 30 seconds, `ahead` steps from now. */
function totp(secret, ahead) {
  const bits = [...secret].map(letter => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map(byte => parseInt(byte, 2)))
  const step = Buffer.alloc(8)
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + ahead))
  const tag = createHmac('sha1', key).update(step).digest()
  const number = tag.readUInt32BE(tag[19] & 15) & 0x7fffffff
  return String(number % 1_000_000).padStart(6, '0')
}

test('a required authenticator app is set up on the way in and asked for from then on', async () => {
  const strict = await makePool(idp)
  try {
    const SoftwareTokenMfaConfiguration = { Enabled: true }
    await idp.send(
      new SetUserPoolMfaConfigCommand({ UserPoolId: strict.id, MfaConfiguration: 'ON', SoftwareTokenMfaConfiguration }),
    )
    const user = userNamed(await strict.user(), { UserPoolId: strict.id, ClientId: await strict.app() })
    assert.equal((await signIn(user)).name, 'MFA_SETUP')
    const secret = await new Promise((resolve, reject) =>
      user.associateSoftwareToken({ associateSecretCode: resolve, onFailure: reject }),
    )
    const session = await handled(user, 'verifySoftwareToken', totp(secret, 0), 'phone')
    assert.ok(session.isValid())

    const { name, parameters } = await signIn(user)
    assert.deepEqual([name, parameters.FRIENDLY_DEVICE_NAME], ['SOFTWARE_TOKEN_MFA', 'phone'])
    const send = code =>
      new Promise((onSuccess, onFailure) => user.sendMFACode(code, { onSuccess, onFailure }, 'SOFTWARE_TOKEN_MFA'))
    await assert.rejects(send(totp(secret, 5)), refused('CodeMismatchException', 'Invalid code received for user'))
    assert.ok((await send(totp(secret, 1))).isValid())
  } finally {
    await strict.delete()
  }
})

// docs/clients.md: the blocks that are programs for Node.js. Those for browsers and web servers are in ../browser.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { InitiateAuthCommand } from '@aws-sdk/client-cognito-identity-provider'

import { blocks, scene } from '../documentation.js'
import { PASSWORD, administrator, attachOrStart } from '../support.js'

let server, idp, reader

before(async () => {
  server = await attachOrStart()
  idp = administrator(server)
  reader = await scene(server, idp)
})

after(async () => {
  await reader?.close()
  await server?.stop()
})

test('every block for JavaScript has a test', () => {
  const here = ['aws-sdk.mjs', 'identity-js.mjs', 'aws-jwt-verify.mjs']
  const browser = ['amplify.html', 'amplify.js', 'oidc-client.html', 'oidc-client.js', 'openid-client.mjs', 'auth.mjs']
  const files = blocks('js', 'html').map(({ file }) => file)
  assert.deepEqual(files.sort(), [...here, ...browser].sort())
  const others = ['boto3_client.py', 'pycognito_client.py', 'cli.sh']
  assert.deepEqual(blocks('python', 'sh').map(({ file }) => file).sort(), others.sort())
})

test('the AWS SDK for JavaScript', async () => {
  const said = await reader.run('aws-sdk.mjs')
  assert.equal(said, `signed in: ${reader.username}\nrefused: Access Token has been revoked\n`)
})

test('amazon-cognito-identity-js', async () => {
  const said = await reader.run('identity-js.mjs')
  assert.equal(said, `signed in: ${reader.username}\nsigned out everywhere\n`)
})

test('aws-jwt-verify', async () => {
  const { AuthenticationResult: tokens } = await idp.send(
    new InitiateAuthCommand({
      ClientId: reader.clientId,
      AuthFlow: 'USER_PASSWORD_AUTH',
      AuthParameters: { USERNAME: reader.username, PASSWORD },
    }),
  )
  const said = await reader.run('aws-jwt-verify.mjs', tokens.AccessToken)
  assert.equal(said, `verified: ${reader.username} aws.cognito.signin.user.admin\n`)
  await assert.rejects(reader.run('aws-jwt-verify.mjs', tokens.IdToken), /Token use/)
})

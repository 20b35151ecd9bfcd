// SimpleSAMLphp as the company's SAML provider: in and out in a real browser, begun here and begun there.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { AdminUserGlobalSignOutCommand } from '@aws-sdk/client-cognito-identity-provider'

import { claims, visiting } from '../browser/stage.js'
import { signInAtSimpleSamlPhp as prove, startSimpleSamlPhp } from './simplesamlphp.js'
import { makeTenant, newcomer, openStage, soon, timed } from './stage.js'

const REDIRECT = 'urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect'
const MAPPING = { email: 'mail', given_name: 'givenName', family_name: 'sn', 'custom:groups': 'eduPersonAffiliation' }
const NAME = 'simplesamlphp'

let stage, php, tenant, door

before(async () => {
  stage = await openStage()
  php = await startSimpleSamlPhp({ signedRequests: true })
  stage.closing.push(php.stop)
  tenant = await makeTenant(stage)
  door = await known(tenant)
})

after(async () => {
  await stage?.close()
})

/** A provider in the pool, which in turn is known to SimpleSAMLphp. */
async function known(tenant, details = {}, more) {
  php.know(tenant.poolId, await tenant.metadata())
  const ours = { MetadataURL: php.metadataUrl, IDPSignout: 'true', RequestSigningAlgorithm: 'rsa-sha256', ...details }
  if (details.MetadataFile) delete ours.MetadataURL
  return tenant.provide(NAME, 'SAML', ours, MAPPING, more)
}

const asked = page => page.locator('input[name=username]').waitFor()
const theirMetadata = async () => (await fetch(php.metadataUrl)).text()

/** Metadata without the endpoints of one kind and binding: who reads it has to use the other one. */
const without = (metadata, service, binding) =>
  metadata.replaceAll(new RegExp(`<[\\w:]*${service}\\b[^>]*Binding="${binding}"[^>]*?(/>|>\\s*</[\\w:]*${service}>)`, 'g'), '')

// --- signing in ---

test('who signs in there lands in the app with tokens that say who it is and where from', () =>
  visiting(stage, async page => {
    const ann = newcomer()
    const flow = await door.begin(page)
    assert.ok(page.url().startsWith(php.gate.origin), page.url())
    await prove(page, ann)
    const tokens = await door.redeem(page, flow)
    const id = claims(tokens.id_token)
    assert.equal(id['cognito:username'], `${NAME}_${ann}`)
    assert.equal(id.nonce, flow.query.get('nonce'))
    assert.deepEqual([id.email, id.email_verified, id.given_name, id.family_name], [`${ann}@example.org`, false, 'Ann', 'Müller & <Söhne>'])
    assert.deepEqual(id['cognito:groups'], [`${tenant.poolId}_${NAME}`])
    const [identity] = id.identities
    assert.match(identity.dateCreated, /^\d{13}$/)
    delete identity.dateCreated
    assert.deepEqual(id.identities, [
      { userId: ann, providerName: NAME, providerType: 'SAML', issuer: php.entity, primary: 'true' },
    ])
    const user = await door.describe(tokens)
    assert.equal(user.UserStatus, 'EXTERNAL_PROVIDER')
    assert.equal(decodeURIComponent(user['custom:groups']), '[member,employee]')
    await door.assertAlive(tokens)
  }))

test('who comes again is asked for nothing, and is the same', () =>
  visiting(stage, async page => {
    const ann = newcomer()
    const first = await door.signIn(page, ann, prove)
    const again = await door.signInAgain(page)
    assert.equal(claims(again.id_token).sub, claims(first.id_token).sub)
  }))

test('the sign-in page offers the provider, and one click leads there', () =>
  visiting(stage, async page => {
    const flow = await door.begin(page, { identity_provider: undefined })
    await page.shot('federation-sign-in-page')
    await page.getByRole('link', { name: NAME }).or(page.getByRole('button', { name: NAME })).first().click()
    await prove(page, newcomer())
    assert.ok((await door.redeem(page, flow)).access_token)
  }))

test('a provider is found by an identifier', async () => {
  const tenant = await makeTenant(stage)
  const door = await known(tenant, {}, { IdpIdentifiers: ['example.org'] })
  await visiting(stage, async page => {
    const flow = await door.begin(page, { identity_provider: undefined, idp_identifier: 'example.org' })
    await prove(page, newcomer())
    assert.ok((await door.redeem(page, flow)).access_token)
  })
})

test('a provider that takes requests by POST only gets them so, signed', async () => {
  const tenant = await makeTenant(stage)
  const door = await known(tenant, { MetadataFile: without(await theirMetadata(), 'SingleSignOnService', REDIRECT) })
  const from = php.gate.seen.length
  await visiting(stage, async page => {
    await door.signIn(page, newcomer(), prove)
  })
  assert.deepEqual(php.gate.to('/saml2/idp/SSOService.php', from).map(({ method, query }) => [method, query.SAMLRequest])[0], ['POST', undefined])
})

test('a response that was posted once is worth nothing in another browser, or again', () =>
  visiting(stage, async page => {
    const posts = []
    await page.route('**/saml2/idpresponse', route => {
      posts.push(route.request().postData())
      return route.continue()
    })
    const tokens = await door.signIn(page, newcomer(), prove)
    await visiting(stage, async other => {
      const response = await other.request.post(`${tenant.domain}/saml2/idpresponse`, {
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        data: posts[0],
      })
      assert.ok(!response.url().includes('code='), response.url())
      assert.equal(await door.isSignedIn(other), false)
    })
    await door.assertAlive(tokens)
  }))

// --- a sign-in that begins there ---

test('a sign-in that begins there is refused unless the provider may', () =>
  visiting(stage, async page => {
    const ann = newcomer()
    const relay = relayState(door)
    await page.goto(php.unsolicitedUrl(`urn:amazon:cognito:sp:${tenant.poolId}`, relay))
    await prove(page, ann)
    await page.waitForURL(url => url.href.startsWith(tenant.domain) || url.href.startsWith(stage.app.origin))
    assert.ok(!page.url().includes('code='), page.url())
    await page.getByText(/Invalid samlResponse or relayState from identity provider/).waitFor()
    await page.shot('federation-unsolicited-refused')
  }))

test('a sign-in that begins there leads into the app where it may', async () => {
  const tenant = await makeTenant(stage)
  const door = await known(tenant, { IDPInit: 'true' }, { local: false })
  await visiting(stage, async page => {
    const ann = newcomer()
    await page.goto(php.unsolicitedUrl(`urn:amazon:cognito:sp:${tenant.poolId}`, relayState(door)))
    await prove(page, ann)
    const { code } = await door.arrival(page)
    const tokens = await door.exchange(code, { query: new URLSearchParams({ redirect_uri: `${stage.app.origin}/callback` }) })
    assert.equal(claims(tokens.id_token)['cognito:username'], `${NAME}_${ann}`)
  })
})

const relayState = door =>
  String(
    new URLSearchParams({
      identity_provider: NAME,
      client_id: door.clientId,
      redirect_uri: `${stage.app.origin}/callback`,
      response_type: 'code',
      scope: 'openid email',
    }),
  )

// --- signing out here ---

test('signing out here signs out there: the next sign-in asks for the password again', t =>
  visiting(stage, async page => {
    const ann = newcomer()
    await door.signIn(page, ann, prove)
    await timed(t, 'sign-out through SimpleSAMLphp', async () => {
      await page.goto(door.logoutUrl)
      await page.waitForURL(door.signedOutUrl)
    })
    assert.match(php.said(), /Received SAML 2\.0 LogoutRequest from/)
    assert.equal(await door.isSignedIn(page), false)
    const flow = await door.begin(page)
    await asked(page)
    await prove(page, ann)
    assert.ok((await door.redeem(page, flow)).access_token)
  }))

test('signing out works without JavaScript', () =>
  visiting(
    stage,
    async page => {
      const flow = await door.begin(page)
      await prove(page, newcomer())
      // SimpleSAMLphp's own page for this case has a button.
      await page.locator('button[type=submit]').click()
      await door.redeem(page, flow)
      await page.goto(door.logoutUrl)
      await page.waitForURL(door.signedOutUrl)
      await door.begin(page)
      await asked(page)
    },
    { javaScriptEnabled: false },
  ))

test('a provider that takes logout by POST only gets it so', async t => {
  const tenant = await makeTenant(stage)
  const door = await known(tenant, { MetadataFile: without(await theirMetadata(), 'SingleLogoutService', REDIRECT) })
  await visiting(stage, async page => {
    await door.signIn(page, newcomer(), prove)
    const from = php.gate.seen.length
    await timed(t, 'sign-out through SimpleSAMLphp by POST', async () => {
      await page.goto(door.logoutUrl)
      await page.waitForURL(door.signedOutUrl)
    })
    assert.equal(php.gate.to('/saml2/idp/SingleLogoutService.php', from)[0].method, 'POST')
    await door.begin(page)
    await asked(page)
  })
})

test('signing out leads on where the provider has forgotten the session', () =>
  visiting(stage, async page => {
    await door.signIn(page, newcomer(), prove)
    php.forgetSessions()
    await page.goto(door.logoutUrl)
    await page.waitForURL(door.signedOutUrl)
    await door.begin(page)
    await asked(page)
  }))

test('without IDPSignout the session there is left alone, as in Cognito', async () => {
  const tenant = await makeTenant(stage)
  const door = await known(tenant, { IDPSignout: 'false' })
  await visiting(stage, async page => {
    const ann = newcomer()
    await door.signIn(page, ann, prove)
    await page.goto(door.logoutUrl)
    await page.waitForURL(door.signedOutUrl)
    assert.equal(await door.isSignedIn(page), false)
    assert.ok((await door.signInAgain(page)).access_token)
  })
})

test('a provider that is down strands nobody: our page says so, and its link leads on', t =>
  visiting(stage, async page => {
    const tokens = await door.signIn(page, newcomer(), prove)
    await php.gate.unplugged(async () => {
      const ms = await timed(t, 'sign-out with SimpleSAMLphp unplugged', async () => {
        await page.goto(door.logoutUrl)
        const onward = page.locator(`a[href="${door.signedOutUrl}"]`)
        await onward.waitFor()
        assert.ok((await page.locator('body').innerText()).includes(NAME))
        await page.shot('federation-provider-down')
        await onward.click()
        await page.waitForURL(door.signedOutUrl)
        return 1
      })
      assert.ok(ms < 8_000, `${ms} ms`)
      assert.equal(await door.isSignedIn(page), false)
    })
    assert.ok(tokens.access_token)
    // It could not be told, and it still knows the person: it has to ask nevertheless.
    await door.begin(page)
    await asked(page)
  }))

test('a global sign-out makes the provider ask again, although it could not be told', () =>
  visiting(stage, async page => {
    const ann = newcomer()
    const tokens = await door.signIn(page, ann, prove)
    await stage.idp.send(new AdminUserGlobalSignOutCommand({ UserPoolId: tenant.poolId, Username: `${NAME}_${ann}` }))
    await door.assertEnded(tokens)
    const flow = await door.begin(page)
    await asked(page)
    await prove(page, ann)
    assert.ok((await door.redeem(page, flow)).access_token)
    // Once is enough.
    assert.ok((await door.signInAgain(page)).access_token)
  }))

// --- signing out there ---

for (const binding of ['Redirect', 'POST']) {
  test(`who signs out there is signed out here, told by ${binding}`, async t => {
    const tenant = await makeTenant(stage)
    const door = await known(tenant)
    const metadata = await tenant.metadata()
    php.know(tenant.poolId, binding === 'POST' ? without(metadata, 'SingleLogoutService', REDIRECT) : metadata)
    await visiting(stage, async page => {
      const tokens = await door.signIn(page, newcomer(), prove)
      assert.equal(await door.isSignedIn(page), true)
      const told = page.waitForRequest(request => new URL(request.url()).pathname.endsWith('/saml2/logout'))
      await timed(t, `sign-out begun at SimpleSAMLphp, by ${binding}`, async () => {
        await page.goto(php.signOutUrl(`${stage.app.origin}/signed-out?there`))
        await page.waitForURL(`${stage.app.origin}/signed-out?there`)
      })
      assert.equal((await told).method(), binding === 'POST' ? 'POST' : 'GET')
      await soon(() => php.said().includes(`Logged out of 'saml:urn:amazon:cognito:sp:${tenant.poolId}'`), 'its log says so')
      assert.equal(await door.isSignedIn(page), false)
      await door.assertEnded(tokens)
      // It is not echoed, and it does not make the provider ask twice.
      const flow = await door.begin(page)
      await prove(page, newcomer())
      assert.ok((await door.redeem(page, flow)).access_token)
    })
  })
}

test('a sign-out there needs no cookie of ours', () =>
  visiting(stage, async page => {
    const tokens = await door.signIn(page, newcomer(), prove)
    await page.context().clearCookies({ domain: new URL(tenant.domain).hostname })
    await page.goto(php.signOutUrl(`${stage.app.origin}/signed-out?there`))
    await page.waitForURL(`${stage.app.origin}/signed-out?there`)
    await door.assertEnded(tokens)
  }))

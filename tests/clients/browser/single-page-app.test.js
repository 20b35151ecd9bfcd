// A single-page application with oidc-client-ts, unchanged: everything but the login happens by script from another origin.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { CLIENT, PEOPLE, POOL, fillIn, openStage, visiting } from './stage.js'

let stage

before(async () => {
  stage = await openStage()
  stage.app.pages['/spa'] = ['text/html', spa()]
})

after(async () => {
  await stage?.close()
})

const authority = () => `${stage.server.endpoint}/${POOL}`

function spa() {
  const settings = {
    authority: authority(),
    client_id: CLIENT,
    redirect_uri: `${stage.app.origin}/spa`,
    post_logout_redirect_uri: `${stage.app.origin}/spa`,
    scope: 'openid email',
    loadUserInfo: true,
  }
  return `<!doctype html><title>spa</title><p id=who></p>
    <button id=in>in</button><button id=out>out</button><button id=refresh>refresh</button>
    <script src=/oidc-client-ts.js></script>
    <script>
      const manager = new oidc.UserManager(${JSON.stringify(settings)})
      const show = text => { document.getElementById('who').textContent = text }
      const act = (id, work) => { document.getElementById(id).onclick = () => work().catch(e => show('failed: ' + e)) }
      act('in', () => manager.signinRedirect())
      act('out', () => manager.signoutRedirect())
      act('refresh', async () => {
        const before = (await manager.getUser()).access_token
        const after = (await manager.signinSilent()).access_token
        show(before === after ? 'the same token' : 'a new token')
      })
      const query = new URLSearchParams(location.search)
      const start = async () => {
        if (query.has('code')) { await manager.signinCallback(); history.replaceState({}, '', '/spa') }
        const user = await manager.getUser()
        show(user ? 'signed in: ' + user.profile.sub + ' ' + user.profile.username : 'signed out')
      }
      start().catch(e => show('failed: ' + e))
    </script>`
}

async function signIn(page) {
  await page.goto(`${stage.app.origin}/spa`)
  await page.getByText('signed out').waitFor()
  await page.getByRole('button', { name: 'in', exact: true }).click()
  await fillIn(page, 'ann')
  await page.waitForURL(`${stage.app.origin}/spa`)
  await page.getByText(/signed in|failed/).waitFor()
  assert.equal(await page.locator('#who').textContent(), `signed in: ${PEOPLE.ann} ann`)
}

test('it signs in, with discovery, token exchange and user information by script', () => visiting(stage, signIn))

test('it refreshes by script', () =>
  visiting(stage, async page => {
    await signIn(page)
    await page.getByRole('button', { name: 'refresh' }).click()
    await page.getByText(/token|failed/).waitFor()
    assert.equal(await page.locator('#who').textContent(), 'a new token')
  }))

test('it signs out in the standard way, and must ask for credentials again', () =>
  visiting(stage, async page => {
    await signIn(page)
    await page.getByRole('button', { name: 'out', exact: true }).click()
    await page.waitForURL(url => url.href.startsWith(`${stage.app.origin}/spa`))
    await page.getByText('signed out').waitFor()
    await page.getByRole('button', { name: 'in', exact: true }).click()
    await page.locator('input[name=password]').waitFor()
  }))

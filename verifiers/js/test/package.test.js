// The package as a registry would get it.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const home = new URL('../', import.meta.url)
const { name, exports, dependencies } = JSON.parse(readFileSync(new URL('package.json', home)))
const entries = Object.entries(exports).filter(([path]) => path !== './package.json')

for (const [path, { types }] of entries) {
  test(`${path}: what it exports has a type, and nothing else has`, async () => {
    const declared = readFileSync(new URL(types, home), 'utf8')
    const values = [...declared.matchAll(/^export declare (?:const|function|class) (\w+)/gm)].map(([, value]) => value)
    if (/^export default /m.test(declared)) values.push('default')
    assert.deepEqual(values.sort(), Object.keys(await import(name + path.slice(1))).sort())
  })
}

test('all that is exported is packed, with licence and README, and nothing of the tests', () => {
  const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json', '--loglevel=error'], { cwd: home }))
  const packed = files.map(file => file.path)
  const wanted = entries.flatMap(([, paths]) => Object.values(paths)).map(path => path.slice(2))
  for (const file of ['LICENSE', 'README.md', ...wanted]) assert.ok(packed.includes(file), file)
  assert.deepEqual(
    packed.filter(file => !/^(src|types)\/|^(LICENSE|README\.md|package\.json)$/.test(file)),
    [],
  )
  assert.equal(dependencies, undefined)
})

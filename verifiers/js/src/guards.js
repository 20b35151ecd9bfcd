// Connections that outlive the request that opened them: each waits to be told that its token is dead.

import { endedBy } from './tokens.js'

const ROUND_MS = 5000
const AT_ONCE = 4

export class Guards {
  #byKey = new Map()
  #all = new Set()
  #round
  #rounded = -Infinity

  get size() {
    return this.#all.size
  }

  /** `ask()` is what a guard under the policy `introspect` asks while the feed is EXPIRED; undefined if it cannot. */
  add(subjects, policy, ask) {
    const guard = { subjects, policy, ask, names: subjects.keys.map(({ key }) => key.latin1Slice(0, 16)) }
    const revoked = new Promise(resolve => (guard.fire = resolve))
    this.#all.add(guard)
    for (const name of guard.names) {
      if (!this.#byKey.has(name)) this.#byKey.set(name, new Set())
      this.#byKey.get(name).add(guard)
    }
    return { revoked, release: () => this.#release(guard), guard }
  }

  /** New entries: only guards that they name are looked at. */
  applied(changed, entries) {
    for (const { key } of changed) {
      for (const guard of this.#byKey.get(key.latin1Slice(0, 16)) ?? []) this.look(guard, entries)
    }
  }

  lookAll(entries) {
    for (const guard of this.#all) this.look(guard, entries)
  }

  look(guard, entries) {
    const kind = endedBy(entries, guard.subjects)
    if (kind) this.#end(guard, { reason: 'session_revoked', kind })
  }

  /** The feed is EXPIRED: what each guard's policy says. */
  async expired(mono) {
    for (const guard of this.#all) if (guard.policy === 'closed') this.#unknown(guard)
    if (this.#round || mono - this.#rounded < ROUND_MS) return
    this.#rounded = mono
    const asking = [...this.#all].filter(({ policy }) => policy === 'introspect')
    const worker = async () => {
      for (let guard = asking.pop(); guard; guard = asking.pop()) await this.#introspect(guard)
    }
    this.#round = Promise.all(Array.from({ length: AT_ONCE }, worker)).finally(() => (this.#round = undefined))
    await this.#round
  }

  async #introspect(guard) {
    if (!this.#all.has(guard)) return
    try {
      if (guard.ask && (await guard.ask())) return
      if (guard.ask) return this.#end(guard, { reason: 'session_revoked' })
    } catch {
      // Nobody can say.
    }
    this.#unknown(guard)
  }

  #unknown(guard) {
    this.#end(guard, { reason: 'revocation_unknown' })
  }

  #end(guard, why) {
    this.#release(guard)
    guard.fire(why)
  }

  #release(guard) {
    this.#all.delete(guard)
    for (const name of guard.names) {
      const set = this.#byKey.get(name)
      set?.delete(guard)
      if (set?.size === 0) this.#byKey.delete(name)
    }
  }
}

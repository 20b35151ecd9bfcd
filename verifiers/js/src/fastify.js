// Plugin for Fastify 5: every route of its scope needs a live token, unless its `config.cenote` says otherwise.

import { bearer, refusal } from './bearer.js'

/**
 * Options: `verifier`, and those of `verify`. A route's `config: {cenote: 'closed'}` chooses its policy, `{cenote: {tokenUse: 'id'}}` more,
 * `{cenote: false}` asks for no token. The request gets `auth`.
 */
export async function cenote(fastify, { verifier, ...options }) {
  verifier.uses(options.policy)
  fastify.decorateRequest('auth', null)
  fastify.addHook('onRoute', route => {
    const own = route.config?.cenote
    verifier.uses(typeof own === 'string' ? own : own?.policy)
  })
  fastify.addHook('onRequest', async (request, reply) => {
    const own = request.routeOptions.config?.cenote
    if (own === false) return
    try {
      const token = bearer(request.headers.authorization)
      const choice = typeof own === 'string' ? { policy: own } : own
      request.auth = { token, ...(await verifier.verify(token, { ...options, ...choice })) }
    } catch (error) {
      const answer = refusal(error)
      if (!answer) throw error
      return reply.code(answer.status).headers(answer.headers).send(answer.body)
    }
  })
}

// The hook is for the scope that registers the plugin, not for one of its own.
cenote[Symbol.for('skip-override')] = true
cenote[Symbol.for('fastify.display-name')] = '@cenote/verifier'

export default cenote

'use strict';
/*
 * What aws-greengrass-core-sdk expects of the core that its function runs on: who the function is, the parts of an ARN,
 * a logger. Littoral's own. (The functions' environment is read when it is asked for: a process may be booted before its
 * function is known.)
 */
const NAMES = {
  AUTH_TOKEN: 'AWS_CONTAINER_AUTHORIZATION_TOKEN',
  MY_FUNCTION_ARN: 'MY_FUNCTION_ARN',
  ROUTER_FUNCTION_ARN: 'ROUTER_FUNCTION_ARN',
  SHADOW_FUNCTION_ARN: 'SHADOW_FUNCTION_ARN',
  SECRETS_MANAGER_FUNCTION_ARN: 'SECRETS_MANAGER_FUNCTION_ARN',
};
const envVars = {};
for (const [name, variable] of Object.entries(NAMES)) {
  Object.defineProperty(envVars, name, { enumerable: true, get: () => process.env[variable] });
}

/** Throws for what is no function's ARN, but for the core's own services, which have no region and no account. */
class FunctionArnFields {
  constructor(arn) {
    const parts = String(arn).split(':');
    if (![7, 8].includes(parts.length) || parts[0] !== 'arn' || parts[2] !== 'lambda' || parts[5] !== 'function') {
      throw new Error(`${arn} is not the ARN of a function`);
    }
    [, , , this.region, this.accountId, , this.name] = parts;
    this.qualifier = parts[7];
    this.unqualifiedArn = parts.slice(0, 7).join(':');
  }
}

const buildFunctionArn = (unqualified, qualifier) => (qualifier ? `${unqualified}:${qualifier}` : unqualified);

/** To the function's log. */
class LocalWatchLogger {
  debug(...parts) { console.debug(...parts); }
  info(...parts) { console.info(...parts); }
  warn(...parts) { console.warn(...parts); }
  error(...parts) { console.error(...parts); }
}

module.exports = { envVars, FunctionArnFields, buildFunctionArn, logging: { LocalWatchLogger } };

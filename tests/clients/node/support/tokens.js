// JSON Web Tokens signed with HS256.

import { createHmac } from 'node:crypto';

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token with these claims. */
export function sign(claims, secret) {
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

/** `seconds` from now, as the claims `exp` and `iat` have it. */
export function secondsFromNow(seconds) {
  return Math.floor(Date.now() / 1000) + seconds;
}

// Certificates made for a test run, by the library that the server itself is installed with.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const SCRIPT = fileURLToPath(new URL('certificate.py', import.meta.url));

/** @returns {Promise<{cert_pem: string, key_pem: string, sha256: string}>} of 127.0.0.1, signed by itself */
export async function makeCertificate() {
  const { stdout } = await promisify(execFile)('python', [SCRIPT]);
  return JSON.parse(stdout);
}

import { cpus } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pkg from './package.json' with { type: 'json' };

const here = path.dirname(fileURLToPath(import.meta.url));

export default {
  apps: [
    {
      name: pkg.name,
      script: path.join(here, 'dist', 'main.js'),
      cwd: here,
      instances: Math.max(1, cpus().length - 1),
      env: { VERSION: pkg.version, PORT: 8080 },
    },
  ],
};

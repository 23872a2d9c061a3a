module.exports = {
  apps: [
    { name: 'ts-node', script: 'src/index.ts', interpreter: './node_modules/.bin/ts-node', interpreter_args: '--project tsconfig.json' },
    { name: 'tsx', script: 'src/index.ts', interpreter: 'tsx' },
    { name: 'loader', script: 'src/index.ts', interpreter: 'node', node_args: '--import tsx --max-old-space-size=512' },
    { name: 'bun', script: 'src/index.ts', interpreter: '~/.bun/bin/bun' },
    { name: 'by-extension', script: 'src/index.ts' },
  ],
};

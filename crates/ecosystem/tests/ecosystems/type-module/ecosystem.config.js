export const apps = [{ name: 'esm-by-package', script: './server.js' }];

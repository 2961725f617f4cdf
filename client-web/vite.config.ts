import { defineConfig } from 'vite';

export default defineConfig({
  // Relative, so that the page works below any path.
  base: './',
  worker: { format: 'es' },
  build: {
    target: 'es2022',
    outDir: 'dist',
    emptyOutDir: true,
    // Every file by its own address: the page's policy allows no inline script or style.
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
  },
  server: {
    host: '127.0.0.1',
    // The Host header stays, so that addresses in answers lead back through this server.
    proxy: { '/api': { target: 'http://127.0.0.1:8080', changeOrigin: false } },
  },
});

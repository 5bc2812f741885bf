import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ConnectionClosed, HttpConnection } from './http-connection.ts';

describe('HttpConnection', () => {
  let server: Server | undefined;
  let http: HttpConnection | undefined;

  const serve = async (listener: RequestListener): Promise<HttpConnection> => {
    server = createServer(listener);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    http = new HttpConnection(
      new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    );
    return http;
  };

  afterEach(async () => {
    http?.close();
    server?.closeAllConnections();
    await new Promise((resolve) => server?.close(resolve));
  });

  it('sends method, path, token and body, over one socket', async () => {
    const sockets = new Set<unknown>();
    const connection = await serve((request, response) => {
      sockets.add(request.socket);
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method, url, headers } = request;
        const body = Buffer.concat(chunks).toString();
        response.statusCode = 201;
        response.end(JSON.stringify([method, url, headers.authorization ?? null, body]));
      });
    });
    const put = await connection.request({ method: 'PUT', path: '/a?b', token: 't', body: '"é"' });
    expect(put.status).toBe(201);
    expect(JSON.parse(put.body.toString())).toEqual(['PUT', '/a?b', 'Bearer t', '"é"']);
    const get = await connection.request({ method: 'GET', path: '/' });
    expect(JSON.parse(get.body.toString())).toEqual(['GET', '/', null, '']);
    expect(sockets.size).toBe(1);
  });

  it('goes on with a new socket when the server ended the idle one', async () => {
    let requests = 0;
    const connection = await serve((request, response) => {
      requests += 1;
      response.end('{}');
      // Without a word in the head: the client learns of it when it next looks.
      response.on('finish', () => request.socket.destroy());
    });
    await connection.request({ method: 'GET', path: '/' });
    expect((await connection.request({ method: 'GET', path: '/' })).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await connection.request({ method: 'GET', path: '/' })).status).toBe(200);
    expect(requests).toBe(3);
  });

  it('rejects a request that the server cut off in the middle, without repeating it', async () => {
    let requests = 0;
    const connection = await serve((request, response) => {
      requests += 1;
      response.writeHead(200, { 'content-length': '10' });
      response.write('half', () => request.socket.destroy());
    });
    await expect(connection.request({ method: 'GET', path: '/' })).rejects.toThrow(
      ConnectionClosed,
    );
    expect(requests).toBe(1);
  });

  it('rejects the request in flight when it is closed here', async () => {
    const connection = await serve(() => undefined);
    const answer = connection.request({ method: 'GET', path: '/' });
    connection.close();
    await expect(answer).rejects.toThrow(ConnectionClosed);
    await expect(connection.request({ method: 'GET', path: '/' })).rejects.toThrow(
      ConnectionClosed,
    );
  });
});

/* libevent's evhttp as an HTTP server for `load-http`: what src/bin/serve-http is for the other contenders.
 *
 *     PROGRAM plaintext|echo
 *
 * Listens on a port of the system's choice, says `pid=N` and `port=N`, and serves until SIGTERM. */
#define _GNU_SOURCE
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#define PROGRAM "serve-evhttp"
#include "serving.h"

#define BACKLOG 4096

static void say_type(struct evhttp_request *request, const char *type)
{
    struct evkeyvalq *fields = evhttp_request_get_output_headers(request);
    check(evhttp_add_header(fields, "Content-Type", type) == 0, "evhttp takes a field");
}

static void plaintext(struct evhttp_request *request, void *of)
{
    (void)of;
    struct evbuffer *body = evhttp_request_get_output_buffer(request);
    say_type(request, "text/plain");
    check(evbuffer_add_reference(body, "Hello, World!", 13, NULL, NULL) == 0, "libevent refers to a text");
    evhttp_send_reply(request, HTTP_OK, "OK", NULL);
}

static void echo(struct evhttp_request *request, void *of)
{
    (void)of;
    say_type(request, "application/octet-stream");
    evhttp_send_reply(request, HTTP_OK, "OK", evhttp_request_get_input_buffer(request));
}

int main(int argc, char **argv)
{
    if (argc != 2 || (strcmp(argv[1], "plaintext") != 0 && strcmp(argv[1], "echo") != 0)) {
        fprintf(stderr, "usage: " PROGRAM " plaintext|echo\n");
        return 2;
    }
    prepare();

    struct event_base *base = event_base_new();
    check(base != NULL, "libevent makes a base");
    struct evhttp *server = evhttp_new(base);
    check(server != NULL, "libevent makes a server");
    evhttp_set_timeout(server, 3600); /* longer than any measurement */
    check(evhttp_set_cb(server, "/plaintext", plaintext, NULL) == 0, "evhttp takes a route");
    check(evhttp_set_cb(server, "/echo", echo, NULL) == 0, "evhttp takes a route");

    struct sockaddr_in address = any_port();
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    struct evconnlistener *listener =
        evconnlistener_new_bind(base, NULL, NULL, flags, BACKLOG, (struct sockaddr *)&address, sizeof address);
    if (!listener)
        die("listen");
    check(evhttp_bind_listener(server, listener) != NULL, "evhttp takes a listener");
    announce(evconnlistener_get_fd(listener));
    check(event_base_dispatch(base) == 0, "libevent runs until it is ended");
    return 1;
}

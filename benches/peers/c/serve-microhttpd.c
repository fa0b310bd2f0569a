/* libmicrohttpd as an HTTP server for `load-http`: what src/bin/serve-http is for the other contenders. Its own thread
 * waits with epoll and serves; the first one sleeps.
 *
 *     PROGRAM plaintext|echo
 *
 * Listens on a port of the system's choice, says `pid=N` and `port=N`, and serves until SIGTERM. */
#define _GNU_SOURCE
#include <microhttpd.h>

#define PROGRAM "serve-microhttpd"
#include "serving.h"

#define BACKLOG 4096
#define CONNECTIONS 16384

/* A body that has not come as a whole. */
struct upload {
    size_t length, room;
    char *bytes;
};

static struct MHD_Response *hello;

/* What is kept of a request without a body. */
static int seen;

static int is(const char *word, const char *other)
{
    return strcmp(word, other) == 0;
}

static void receive(struct upload *upload, const char *data, size_t size)
{
    if (upload->room - upload->length < size) {
        upload->room = 2 * (upload->length + size);
        upload->bytes = realloc(upload->bytes, upload->room);
        check(upload->bytes != NULL, "there is memory");
    }
    memcpy(upload->bytes + upload->length, data, size);
    upload->length += size;
}

static enum MHD_Result echo(struct MHD_Connection *connection, struct upload *upload)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(upload->length, upload->bytes, MHD_RESPMEM_MUST_FREE);
    check(response != NULL, "microhttpd makes an answer");
    upload->bytes = NULL; /* the answer's from here */
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    enum MHD_Result result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond(
    void *of,
    struct MHD_Connection *connection,
    const char *path,
    const char *method,
    const char *version,
    const char *data,
    size_t *size,
    void **kept
)
{
    (void)of, (void)version;
    if (is(method, "POST") && is(path, "/echo")) {
        if (!*kept) {
            *kept = calloc(1, sizeof(struct upload));
            return *kept ? MHD_YES : MHD_NO;
        }
        if (*size > 0) {
            receive(*kept, data, *size);
            *size = 0;
            return MHD_YES;
        }
        return echo(connection, *kept);
    }
    if (!is(method, "GET") || !is(path, "/plaintext"))
        return MHD_NO;
    /* An answer to the first call, before there is a body, would end the connection. */
    if (!*kept) {
        *kept = &seen;
        return MHD_YES;
    }
    *kept = NULL;
    return MHD_queue_response(connection, MHD_HTTP_OK, hello);
}

static void completed(void *of, struct MHD_Connection *connection, void **kept, enum MHD_RequestTerminationCode why)
{
    (void)of, (void)connection, (void)why;
    struct upload *upload = *kept == &seen ? NULL : *kept;
    *kept = NULL;
    if (upload) {
        free(upload->bytes);
        free(upload);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2 || (!is(argv[1], "plaintext") && !is(argv[1], "echo"))) {
        fprintf(stderr, "usage: " PROGRAM " plaintext|echo\n");
        return 2;
    }
    prepare();
    hello = MHD_create_response_from_buffer(13, "Hello, World!", MHD_RESPMEM_PERSISTENT);
    check(hello != NULL, "microhttpd makes an answer");
    MHD_add_response_header(hello, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");

    struct sockaddr_in address = any_port();
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD,
        0,
        NULL,
        NULL,
        respond,
        NULL,
        MHD_OPTION_SOCK_ADDR,
        (struct sockaddr *)&address,
        MHD_OPTION_CONNECTION_LIMIT,
        CONNECTIONS,
        MHD_OPTION_LISTEN_BACKLOG_SIZE,
        BACKLOG,
        MHD_OPTION_NOTIFY_COMPLETED,
        completed,
        NULL,
        MHD_OPTION_END
    );
    check(daemon != NULL, "microhttpd starts");
    const union MHD_DaemonInfo *about = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_LISTEN_FD);
    check(about != NULL, "microhttpd knows its socket");
    announce(about->listen_fd);
    for (;;)
        pause();
}

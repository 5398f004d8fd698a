#include "backend.h"
#include "json.h"
#include "loop.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { REQUEST_ROOM = 1 << 16, ANSWER_ROOM = REQUEST_ROOM + 256, BACKLOG = 1024 };

struct asker { // a connection of the server
    struct source source;
    size_t size;
    char bytes[REQUEST_ROOM + 1];
};

static struct source listener;
static atomic_ulong calls;
static atomic_uint connections;
static pthread_t thread;

static bool is_to(const char *head, const char *path) {
    return !strncmp(head, "POST ", 5) && !strncmp(head + 5, path, strlen(path)) && head[5 + strlen(path)] == ' ';
}

static void answer(struct asker *asker, const char *head, struct span body) {
    char json[ANSWER_ROOM], text[ANSWER_ROOM + 128];
    int size;
    if (is_to(head, "/rpc")) {
        struct span data = json_member(body, "data");
        if (!data.size || !json_member(body, "client").size || !span_is(json_member(body, "method"), "\"bench\""))
            die("the server asked its backend for %.*s", (int)body.size, body.at);
        size = sprintf(json, "{\"result\":{\"data\":%.*s}}", (int)data.size, data.at);
    } else if (is_to(head, "/connect")) {
        if (!json_member(body, "client").size)
            die("the server asked its backend about %.*s", (int)body.size, body.at);
        size = sprintf(json, "{\"result\":{\"user\":\"" BACKEND_USER "\"}}");
    } else {
        die("the server sent its backend %.*s", (int)strcspn(head, "\r"), head);
    }
    int all = sprintf(text, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", size, json);
    calls++;
    write_all(asker->source.fd, text, (size_t)all); // a server that is gone is noticed elsewhere
}

// Answers one request; false if it has not fully arrived.
static bool take_request(struct asker *asker) {
    asker->bytes[asker->size] = 0;
    char *end = strstr(asker->bytes, "\r\n\r\n");
    if (!end)
        return false;
    size_t head = (size_t)(end - asker->bytes) + 4;
    const char *length = strcasestr(asker->bytes, "\r\nContent-Length: ");
    if (!length || length > end)
        die("the server asked its backend without Content-Length: %.*s", (int)head, asker->bytes);
    size_t body = strtoul(length + strlen("\r\nContent-Length: "), NULL, 10), all = head + body;
    if (body > REQUEST_ROOM - head)
        die("the server sent its backend a body of %zu bytes", body);
    if (asker->size < all)
        return false;
    answer(asker, asker->bytes, span_of(asker->bytes + head, body));
    memmove(asker->bytes, asker->bytes + all, asker->size -= all);
    return true;
}

static void on_bytes(struct source *source, uint32_t events) {
    struct asker *asker = (struct asker *)source;
    (void)events;
    ssize_t size = recv(source->fd, asker->bytes + asker->size, REQUEST_ROOM - asker->size, 0);
    if (size > 0) {
        asker->size += (size_t)size;
        while (asker->size && take_request(asker))
            continue;
        if (asker->size == REQUEST_ROOM)
            die("the server sent its backend a head of more than %d bytes", REQUEST_ROOM);
    } else if (size == 0 || errno != EAGAIN) {
        loop_close(source);
        free(asker);
    }
}

static void on_connections(struct source *source, uint32_t events) {
    (void)events;
    for (int fd, on = 1; (fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct asker *asker = allocate(sizeof *asker);
        asker->source = (struct source){.fd = fd, .on_ready = on_bytes};
        connections++;
        loop_add(&asker->source, EPOLLIN);
    }
}

static void *serve(void *argument) {
    (void)argument;
    loop_add(&listener, EPOLLIN);
    for (;;)
        loop_wait(-1);
    return NULL;
}

void backend_start(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(options.backend)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!options.backend || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, BACKLOG))
        die("the backend cannot listen on --backend: %s", options.backend ? strerror(errno) : "not given");
    listener = (struct source){.fd = fd, .on_ready = on_connections};
    if (pthread_create(&thread, NULL, serve, NULL))
        die("cannot start the backend");
}

uint64_t backend_calls(void) { return calls; }
unsigned backend_connections(void) { return connections; }

#include "stream.h"
#include "json.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { OPENING_AT_ONCE = 128, RECEIVE_ROOM = 1 << 16, OPEN_SECONDS = 60, LINE_LIMIT = 1 << 16 };

// ---- pongs: requests on one keep-alive connection for all streams --------------------------------------------------

static struct {
    struct source source;
    bool open;
    size_t matched; // bytes of a status line, across reads
    unsigned taken;
} pongs;

static void on_pong_taken(struct source *source, uint32_t events) {
    static const char expected[] = "HTTP/1.1 ";
    char buffer[RECEIVE_ROOM];
    (void)events;
    ssize_t size = recv(source->fd, buffer, sizeof buffer, 0);
    if (size == 0 || (size < 0 && errno != EAGAIN))
        die("the server closed the connection for pongs");
    for (ssize_t i = 0; i < size; i++) {
        if (pongs.matched == sizeof expected - 1) { // the first digit of the status
            if (buffer[i] != '2')
                die("a pong was answered: %.*s", (int)(size - i < 300 ? size - i : 300), buffer + i);
            pongs.taken++;
            pongs.matched = 0;
        } else {
            pongs.matched = buffer[i] == expected[pongs.matched] ? pongs.matched + 1 : buffer[i] == expected[0];
        }
    }
}

unsigned pongs_taken(void) { return pongs.taken; }

static void send_pong(const struct stream *stream) {
    if (!pongs.open) {
        pongs.source = (struct source){.fd = dial(0), .on_ready = on_pong_taken};
        pongs.open = true;
        loop_add(&pongs.source, EPOLLIN);
    }
    if (!write_all(pongs.source.fd, stream->pong, strlen(stream->pong)))
        die("the server closed the connection for pongs");
}

// ---- the stream ----------------------------------------------------------------------------------------------------

static void make_pong(struct stream *stream, struct span connect) {
    struct span session = json_string(json_member(connect, "session")), node = json_string(json_member(connect, "node"));
    char body[512];
    if (!session.size || !node.size || session.size + node.size > 400)
        die("connect answered without session and node: %.*s", (int)connect.size, connect.at);
    int size = snprintf(body, sizeof body, "{\"session\":\"%.*s\",\"node\":\"%.*s\",\"data\":\"{}\"}", (int)session.size,
                        session.at, (int)node.size, node.at);
    if (asprintf(&stream->pong,
                 "POST /emulation HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                 "Content-Length: %d\r\n\r\n%s",
                 size, body) < 0)
        die("no memory for a pong");
}

static void handle_reply(struct stream *stream, struct span line) {
    if (json_member(line, "error").size)
        die("refused: %.*s", (int)line.size, line.at);
    struct span connect = json_member(line, "connect");
    if (connect.size)
        make_pong(stream, connect);
    if (stream->state == STREAM_OPENING && json_number(json_member(line, "id")) == (stream->channel ? 2 : 1))
        stream->state = STREAM_READY;
}

// A line of the response: of its head, a size of a chunk, or a message.
static void handle_line(struct stream *stream, struct span line) {
    if (line.size && line.at[line.size - 1] == '\r')
        line.size--;
    if (line.size >= 9 && !memcmp(line.at, "HTTP/1.1 ", 9) && memcmp(line.at + 9, "200", 3))
        die("the stream was refused: %.*s", (int)line.size, line.at);
    if (line.size >= 6 && !memcmp(line.at, "data: ", 6))
        line = span_of(line.at + 6, line.size - 6);
    if (span_is(line, "{}"))
        send_pong(stream);
    else if (line.size && line.at[0] == '{')
        handle_reply(stream, line);
}

static void hold(struct stream *stream, struct span part) {
    if (stream->line_size + part.size > LINE_LIMIT)
        die("a line of a stream has more than %d bytes", LINE_LIMIT);
    stream->line = realloc(stream->line, stream->line_size + part.size + 1);
    if (!stream->line)
        die("no memory for a line");
    memcpy(stream->line + stream->line_size, part.at, part.size);
    stream->line_size += part.size;
}

static void handle_bytes(struct stream *stream, struct span rest) {
    for (const char *end; (end = memchr(rest.at, '\n', rest.size));) {
        struct span line = span_of(rest.at, (size_t)(end - rest.at));
        rest = span_of(end + 1, rest.size - line.size - 1);
        if (stream->line_size) {
            hold(stream, line);
            line = span_of(stream->line, stream->line_size);
        }
        handle_line(stream, line);
        stream->line_size = 0;
    }
    if (rest.size) {
        hold(stream, rest);
    } else {
        free(stream->line); // an idle client shall cost nothing
        stream->line = NULL;
    }
}

static void send_request(struct stream *stream) {
    char commands[512], request[1024];
    int size = snprintf(commands, sizeof commands, "{\"id\":1,\"connect\":{}}");
    if (stream->channel)
        size += snprintf(commands + size, sizeof commands - (size_t)size,
                         "\n{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}", stream->channel);
    int length = snprintf(request, sizeof request,
                          "POST /connection/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s",
                          options.stream, size, commands);
    stream->state = STREAM_OPENING;
    if (!write_all(stream->source.fd, request, (size_t)length))
        die("the server closed a connection before its stream");
}

static void on_ready(struct source *source, uint32_t events) {
    struct stream *stream = (struct stream *)source;
    static char buffer[RECEIVE_ROOM];
    (void)events;
    if (stream->state == STREAM_DIALING) {
        dial_finish(source->fd);
        loop_change(source, EPOLLIN);
        send_request(stream);
        return;
    }
    ssize_t size = recv(source->fd, buffer, sizeof buffer, 0);
    if (size > 0)
        handle_bytes(stream, span_of(buffer, (size_t)size));
    else if (size == 0 || errno != EAGAIN)
        die("the server ended a stream");
}

struct group {
    struct stream *streams;
    unsigned count, first; // streams before `first` are ready
};

static bool group_is_ready(void *argument) {
    struct group *group = argument;
    while (group->first < group->count && group->streams[group->first].state == STREAM_READY)
        group->first++;
    return group->first == group->count;
}

static bool group_has_room(void *argument) {
    struct group *group = argument;
    group_is_ready(group);
    return group->count - group->first < OPENING_AT_ONCE;
}

void streams_open(struct stream *streams, unsigned count) {
    struct group group = {streams, 0, 0};
    while (group.count < count) {
        struct stream *stream = &streams[group.count++];
        stream->source = (struct source){.fd = dial(0), .on_ready = on_ready};
        stream->state = STREAM_DIALING;
        loop_add(&stream->source, EPOLLOUT);
        loop_until(group_has_room, &group, OPEN_SECONDS, "opening streams");
    }
    loop_until(group_is_ready, &group, OPEN_SECONDS, "opening streams");
}

void streams_close(struct stream *streams, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        loop_close(&streams[i].source);
        streams[i].state = STREAM_CLOSED;
        free(streams[i].line);
        free(streams[i].pong);
    }
}

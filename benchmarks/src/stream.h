// One client over a streamed response (server-sent events or HTTP streaming): connects, subscribes to one channel, and
// answers pings through the emulation endpoint.
#pragma once
#include "loop.h"

enum stream_state { STREAM_CLOSED, STREAM_DIALING, STREAM_OPENING, STREAM_READY };

struct stream {
    struct source source;
    enum stream_state state;
    const char *channel; // NULL: connect only
    char *line;          // the beginning of a line that is not complete yet
    size_t line_size;
    char *pong; // the emulation request that answers a ping
};

// Opens `count` streams of the transport in `options.stream`, some at a time, until all are subscribed.
void streams_open(struct stream *streams, unsigned count);
void streams_close(struct stream *streams, unsigned count);
unsigned pongs_taken(void); // how many pongs the server has answered with 204

// idle-stream: the same as idle over streamed responses, whose pongs are requests of their own.
#include "loads.h"
#include "measure.h"
#include "process.h"
#include "stream.h"
#include <stdio.h>
#include <string.h>

enum { FIRST_STREAMS = 50 };

void load_idle_stream(void) {
    struct stream *streams = allocate((FIRST_STREAMS + options.clients) * sizeof *streams);
    char(*channels)[24] = allocate((FIRST_STREAMS + options.clients) * sizeof *channels);
    if (strcmp(options.stream, "sse") && strcmp(options.stream, "http_stream"))
        die("--stream must be sse or http_stream");
    for (unsigned i = 0; i < FIRST_STREAMS + options.clients; i++) {
        sprintf(channels[i], "bench-%u", i);
        streams[i].channel = options.no_channel ? NULL : channels[i];
    }
    // What the first connections make a server allocate once shall not count.
    streams_open(streams, FIRST_STREAMS);
    loop_for(options.warmup);
    unsigned long before = server_memory_kb();
    streams_open(streams + FIRST_STREAMS, options.clients);
    unsigned long opened = server_memory_kb();
    loop_for(options.warmup);
    window_open();
    loop_for(options.seconds);
    window_close();
    unsigned long after = server_memory_kb();
    report("operations", options.clients * options.seconds);
    report("clients", options.clients);
    report("pongs", pongs_taken());
    report("memory_before_kb", (double)before);
    report("memory_opened_kb", (double)opened);
    report("memory_after_kb", (double)after);
    report("kb_per_client", ((double)after - (double)before) / options.clients);
    report("kb_per_client_opened", ((double)opened - (double)before) / options.clients);
    streams_close(streams, FIRST_STREAMS + options.clients);
}

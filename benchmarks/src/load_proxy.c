// proxy: events that the server asks a backend about. `rpc`: every client calls a method, one call at a time, and gets
// its data back. `connect`: TCP, upgrade, a connect without token, close; options.clients of them at a time.
#include "backend.h"
#include "client.h"
#include "loads.h"
#include "measure.h"
#include "payload.h"
#include <string.h>

enum { DRAIN_SECONDS = 20 };

struct caller {
    struct client client;
    unsigned index;
    uint64_t sent, started_ns;
};

static struct caller *callers;
static bool running;
static unsigned in_flight;
static uint64_t events, counted;
static struct histogram latency;

static bool none_in_flight(void *argument) {
    (void)argument;
    return in_flight == 0;
}

static void begin(struct caller *caller) {
    in_flight++;
    events++;
    caller->started_ns = now_ns();
}

static void end(struct caller *caller) {
    histogram_add(&latency, now_ns() - caller->started_ns);
    counted++;
}

static void call(struct caller *caller) {
    begin(caller);
    client_rpc(&caller->client, "bench", payload_make(caller->index, caller->sent++));
}

static void on_reply(struct client *client, const struct message *message) {
    struct caller *caller = (struct caller *)client;
    unsigned sender;
    if (message->error.size)
        die("rpc refused: %.*s", (int)message->error.size, message->error.at);
    uint64_t number = payload_check(decode_rpc_data(message->result), &sender);
    if (sender != caller->index || number != caller->sent - 1)
        die("client %u got answer %llu of %u", caller->index, (unsigned long long)number, sender);
    end(caller);
    in_flight--;
    if (running)
        call(caller);
}

static void visit(struct caller *caller) {
    begin(caller);
    client_open(&caller->client);
}

static void on_ready(struct client *client, struct span result) {
    (void)result;
    end((struct caller *)client);
    client_close(client);
}

static void on_closed(struct client *client, unsigned code, bool wanted) {
    if (!wanted || code != 1000)
        die("a connection was closed with code %u instead of the client's 1000", code);
    in_flight--;
    if (running)
        visit((struct caller *)client);
}

static const struct client_events rpc_events = {.reply = on_reply};
static const struct client_events connect_events = {.ready = on_ready, .closed = on_closed};

void load_proxy(void) {
    bool calls = !strcmp(options.method, "rpc");
    if (!calls && strcmp(options.method, "connect"))
        die("proxy needs --method rpc or connect");
    backend_start();
    callers = allocate(options.clients * sizeof *callers);
    for (unsigned i = 0; i < options.clients; i++) {
        callers[i].index = i;
        callers[i].client.events = calls ? &rpc_events : &connect_events;
    }
    if (calls)
        clients_open(&callers->client, sizeof *callers, options.clients);
    running = true;
    for (unsigned i = 0; i < options.clients; i++)
        calls ? call(&callers[i]) : visit(&callers[i]);
    loop_for(options.warmup);
    counted = 0;
    memset(&latency, 0, sizeof latency);
    window_open();
    loop_for(options.seconds);
    window_close();
    report("operations", (double)counted);
    report("backend_connections", backend_connections());
    histogram_report(&latency, "latency");
    running = false;
    loop_until(none_in_flight, NULL, DRAIN_SECONDS, "the events in flight");
    if (backend_calls() != events)
        die("the backend was asked %llu times about %llu events", (unsigned long long)backend_calls(),
            (unsigned long long)events);
    if (calls)
        clients_close(&callers->client, sizeof *callers, options.clients);
}

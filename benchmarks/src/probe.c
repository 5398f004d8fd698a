#include "probe.h"
#include "client.h"
#include "payload.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { PROBE_INTERVAL_MS = 5, ANSWER_SECONDS = 30 };

static struct histogram *current; // where the present round trip belongs
static uint64_t probe_sent_ns;
static bool answered;
static atomic_bool stopping;
static _Atomic(struct histogram *) counted;
static pthread_t thread;

static void on_reply(struct client *client, const struct message *message) {
    (void)client;
    if (message->error.size)
        die("publish refused: %.*s", (int)message->error.size, message->error.at);
    if (current)
        histogram_add(current, now_ns() - probe_sent_ns);
    answered = true;
}

static const struct client_events probe_events = {.reply = on_reply};

static bool is_answered(void *argument) {
    (void)argument;
    return answered;
}

static void *probe(void *argument) {
    (void)argument;
    struct client client = {.events = &probe_events};
    clients_open(&client, sizeof client, 1);
    while (!stopping) {
        current = counted;
        answered = false;
        probe_sent_ns = now_ns();
        client_publish(&client, "probe", payload_make(0, 0));
        loop_until(is_answered, NULL, ANSWER_SECONDS, "the probe's reply");
        loop_for(PROBE_INTERVAL_MS / 1e3);
    }
    clients_close(&client, sizeof client, 1);
    return NULL;
}

// The probe must not wait for the generator's own work, so it goes before it on their common core.
static bool prefer(pthread_t thread) {
    struct sched_param first = {.sched_priority = 1};
    return pthread_setschedparam(thread, SCHED_FIFO, &first) == 0;
}

void probe_start(void) {
    if (pthread_create(&thread, NULL, probe, NULL))
        die("cannot start the probe");
    report("probe_preferred", prefer(thread)); // 0: the latencies contain the generator's own work
}

void probe_count(struct histogram *histogram) { counted = histogram; }

void probe_stop(void) {
    stopping = true;
    pthread_join(thread, NULL);
}

// storm: options.clients clients come back at once, as after a restart, and recover the last options.batch publications
// of one channel. Those that the server has no room for try again after the backoff of the official SDKs. Meanwhile a
// probe that was connected before times its round trips.
#include "api.h"
#include "client.h"
#include "json.h"
#include "loads.h"
#include "payload.h"
#include "probe.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BEFORE = 20, EPOCH_MAX = 64, STORM_SECONDS = 120, BACKOFF_MIN_MS = 500, BACKOFF_MAX_MS = 20000 };

struct returning {
    struct client client;
    unsigned attempts;
    uint64_t retry_at; // 0: none is due
};

static const char channel[] = "bench";
static struct returning *all;
static unsigned recovered, refusals;
static uint64_t storm_began;
static struct histogram quiet, loaded, connected;

static void on_ready(struct client *client, struct span result) {
    (void)client;
    struct subscribe_result subscribed = decode_subscribe_result(result);
    struct message publication;
    unsigned count = 0, sender;
    if (!subscribed.recovered)
        die("not recovered");
    for (; next_publication(&subscribed.publications, &publication); count++)
        if (payload_check(publication.data, &sender) != BEFORE + count || publication.offset != BEFORE + count + 1)
            die("recovered publication %u has offset %llu", count, (unsigned long long)publication.offset);
    if (count != options.batch)
        die("%u publications were recovered instead of %u", count, options.batch);
    histogram_add(&connected, now_ns() - storm_began);
    recovered++;
}

// centrifuge-js: min(max, min + random up to min(max, min * 2^attempt)).
static void on_refused(struct client *client) {
    struct returning *returning = (struct returning *)client;
    double step = fmin(BACKOFF_MAX_MS, BACKOFF_MIN_MS * exp2(fmin(returning->attempts++, 31)));
    double pause = fmin(BACKOFF_MAX_MS, BACKOFF_MIN_MS + step * drand48());
    returning->retry_at = now_ns() + (uint64_t)(pause * 1e6);
    refusals++;
}

static const struct client_events events = {.ready = on_ready, .refused = on_refused};

static bool all_recovered(void *argument) {
    (void)argument;
    uint64_t now = now_ns();
    for (unsigned i = 0; i < options.clients; i++)
        if (all[i].retry_at && all[i].retry_at <= now) {
            all[i].retry_at = 0;
            client_open(&all[i].client);
        }
    return recovered == options.clients;
}

static void publish(char *epoch) {
    struct api api = {.on_response = NULL};
    char body[PAYLOAD_MAX + 256];
    api_open(&api);
    for (unsigned i = 0; i < BEFORE + options.batch; i++) {
        body[api_publish_body(body, channel, payload_make(0, i))] = 0;
        struct span answer = api_call(&api, "publish", body);
        struct span value = json_string(json_member(json_member(answer, "result"), "epoch"));
        if (!value.size || value.size >= EPOCH_MAX)
            die("a publication got no position: %.*s", (int)answer.size, answer.at);
        memcpy(epoch, value.at, value.size);
        epoch[value.size] = 0;
    }
    api_close(&api);
}

void load_storm(void) {
    static char epoch[EPOCH_MAX];
    publish(epoch);
    all = allocate(options.clients * sizeof *all);
    for (unsigned i = 0; i < options.clients; i++) {
        all[i].client.events = &events;
        all[i].client.subscribe =
            (struct subscribe_request){.channel = channel, .recover = true, .offset = BEFORE, .epoch = epoch};
    }
    probe_start();
    loop_for(options.warmup);
    probe_count(&quiet);
    loop_for(options.seconds / 2);
    probe_count(&loaded);
    storm_began = now_ns();
    window_open();
    for (unsigned i = 0; i < options.clients; i++)
        client_open(&all[i].client);
    loop_until(all_recovered, NULL, STORM_SECONDS, "recovering");
    window_close();
    probe_count(NULL);
    probe_stop();
    report("operations", options.clients);
    report("refusals", refusals);
    report("probes", (double)loaded.total);
    histogram_report(&quiet, "quiet");
    histogram_report(&loaded, "loaded");
    histogram_report(&connected, "recovered");
    clients_close(&all[0].client, sizeof *all, options.clients);
}

// takeover: publications go on while a process takes over from another one, which whoever runs this starts meanwhile.
// Subscribers that are told to leave come back at once and recover. Every publish must succeed, and every subscriber must
// get every publication once and in order. Runs for options.seconds; options.lanes publications a second.
#include "api.h"
#include "client.h"
#include "json.h"
#include "loads.h"
#include "measure.h"
#include "payload.h"
#include <stdio.h>
#include <string.h>

enum { EPOCH_MAX = 64, SHUTDOWN = 3001, SETTLE_SECONDS = 30 };

struct follower {
    struct client client;
    uint64_t offset; // of the last publication
    char epoch[EPOCH_MAX];
    uint64_t left_at;
};

static const char channel[] = "bench";
static struct follower *all;
static uint64_t published, deliveries, disconnects, recoveries, first_left, last_left, sent_at;
static bool answered = true;
static struct histogram away, publishing;

static void take(struct follower *follower, const struct message *publication) {
    if (publication->offset != follower->offset + 1)
        die("offset %llu after %llu", (unsigned long long)publication->offset, (unsigned long long)follower->offset);
    follower->offset++;
    deliveries++;
}

static void on_ready(struct client *client, struct span result) {
    struct follower *follower = (struct follower *)client;
    struct subscribe_result subscribed = decode_subscribe_result(result);
    struct message publication;
    if (!follower->epoch[0]) {
        if (!subscribed.epoch.size || subscribed.epoch.size >= EPOCH_MAX)
            die("no epoch");
        memcpy(follower->epoch, subscribed.epoch.at, subscribed.epoch.size);
        follower->offset = subscribed.offset;
        return;
    }
    if (!subscribed.recovered)
        die("not recovered after offset %llu", (unsigned long long)follower->offset);
    recoveries++;
    histogram_add(&away, now_ns() - follower->left_at);
    while (next_publication(&subscribed.publications, &publication))
        take(follower, &publication);
}

static void on_publication(struct client *client, const struct message *message) {
    take((struct follower *)client, message);
}

static void on_closed(struct client *client, unsigned code, bool wanted) {
    struct follower *follower = (struct follower *)client;
    if (wanted)
        return;
    if (code != SHUTDOWN)
        die("a connection was closed with code %u", code);
    follower->left_at = last_left = now_ns();
    first_left = first_left ? first_left : last_left;
    disconnects++;
    follower->client.subscribe.recover = true;
    follower->client.subscribe.offset = follower->offset;
    follower->client.subscribe.epoch = follower->epoch;
    client_open(client);
}

static const struct client_events events = {.ready = on_ready, .publication = on_publication, .closed = on_closed};

static void on_response(struct api *api, struct span body) {
    (void)api;
    (void)body;
    histogram_add(&publishing, now_ns() - sent_at);
    published++;
    answered = true;
}

static bool all_have_all(void *argument) {
    (void)argument;
    for (unsigned i = 0; i < options.clients; i++)
        if (all[i].offset != published)
            return false;
    return true;
}

void load_takeover(void) {
    struct api api = {.on_response = on_response};
    char body[PAYLOAD_MAX + 256];
    all = allocate(options.clients * sizeof *all);
    for (unsigned i = 0; i < options.clients; i++) {
        all[i].client.events = &events;
        all[i].client.subscribe = (struct subscribe_request){.channel = channel};
    }
    clients_open(&all[0].client, sizeof *all, options.clients);
    api_open(&api);
    unsigned api_connections = 1;
    uint64_t pause = 1000000000ull / options.lanes, end = now_ns() + (uint64_t)(options.seconds * 1e9);
    for (uint64_t next = now_ns(); now_ns() < end || !answered; loop_wait(1)) {
        if (!answered || now_ns() < next || now_ns() >= end)
            continue;
        if (api.closing) {
            api_close(&api);
            api_open(&api);
            api_connections++;
        }
        next += pause;
        answered = false;
        sent_at = now_ns();
        api_send(&api, "publish", span_of(body, api_publish_body(body, channel, payload_make(0, (unsigned)published))));
    }
    loop_until(all_have_all, NULL, SETTLE_SECONDS, "delivering all publications");
    report("publications", (double)published);
    report("deliveries", (double)deliveries);
    report("api_connections", api_connections);
    report("disconnects", (double)disconnects);
    report("recoveries", (double)recoveries);
    report("disconnects_spread_seconds", (double)(last_left - first_left) / 1e9);
    histogram_report(&publishing, "publish");
    histogram_report(&away, "away");
    clients_close(&all[0].client, sizeof *all, options.clients);
}

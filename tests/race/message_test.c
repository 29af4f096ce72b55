/* SPDX-License-Identifier: MIT
 *
 * message_test.c: C8, the ownership of messages under real threads. See race.h. A message is opaque to the engine;
 * here it is a record that knows who owns it.
 */
#include "tests/race/race.h"

#define SHARDS 2

enum {
	SENDERS = 24,
	RECEIVERS = 24,
	MESSAGES = 64
};

enum owner {
	OWNER_POOL = 0,
	OWNER_SENDER = 1, /* the consumer that sends: also while the operation is under way, until it has succeeded */
	OWNER_CARRIER = 2,  /* the provider */
	OWNER_RECEIVER = 3, /* the consumer that receives */
};

struct message {
	pw_a64 owner;
};

struct post_office {
	struct message message[MESSAGES];
	struct race_op send[SENDERS];
	struct race_op receive[RECEIVERS];
	pw_a64 ending;
	pw_a64 quit;
	pw_a64 sent;
	pw_a64 received;
	pw_a64 send_failed;
	pw_a64 receive_failed;
	pw_a64 broken; /* a message that had another owner than it must */
};

static struct post_office office;

static void
hand_over(struct message *m, enum owner from, enum owner to)
{
	uint64_t expected = from;
	if (m == NULL || !pw_cas_acq_rel_64(&m->owner, &expected, to)) {
		race_add(&office.broken, 1);
	}
}

static struct message *
message_of(nng_aio *aio)
{
	return (struct message *) (void *) nng_aio_get_msg(aio);
}

static struct message *
take_from_pool(void)
{
	for (;;) {
		for (unsigned i = 0; i < MESSAGES; i++) {
			uint64_t expected = OWNER_POOL;
			if (pw_cas_acq_rel_64(&office.message[i].owner, &expected, OWNER_SENDER)) {
				return &office.message[i];
			}
		}
		(void) sched_yield(); /* there are more messages than senders and one in the carrier's hand */
	}
}

static void
send_one(struct race_op *op)
{
	if (message_of(op->aio) == NULL) {
		nng_aio_set_msg(op->aio, (nng_msg *) (void *) take_from_pool());
	}
	pinwheel_aio_set_timeout_ns(op->aio, 300 * (int64_t) PW_NS_PER_US);
	(void) race_start(op);
}

static void
receive_one(struct race_op *op)
{
	pinwheel_aio_set_timeout_ns(op->aio, 300 * (int64_t) PW_NS_PER_US);
	(void) race_start(op);
}

static void
on_sent(struct race_op *op)
{
	struct message *m = message_of(op->aio);
	if (race_get(&op->last_result) == NNG_OK) {
		race_add(&office.broken, m != NULL);
		race_add(&office.sent, 1);
	} else { /* still there, and still ours */
		race_add(&office.broken, m == NULL || race_get(&m->owner) != OWNER_SENDER);
		race_add(&office.send_failed, 1);
	}
	if (race_get(&office.ending) == 0) {
		send_one(op);
	}
}

static void
on_received(struct race_op *op)
{
	struct message *m = message_of(op->aio);
	if (race_get(&op->last_result) == NNG_OK) {
		nng_aio_set_msg(op->aio, NULL);
		hand_over(m, OWNER_RECEIVER, OWNER_POOL);
		race_add(&office.received, 1);
	} else {
		race_add(&office.broken, m != NULL);
		race_add(&office.receive_failed, 1);
	}
	if (race_get(&office.ending) == 0) {
		receive_one(op);
	}
}

/* The provider: takes the message of a send that it has claimed and gives it to a receive that it has claimed. */
static void *
carry(void *arg)
{
	uint64_t random = race_stream(150);
	struct message *carried = NULL;
	(void) arg;
	while (race_get(&office.quit) == 0 || carried != NULL) {
		struct race_op *op = carried == NULL ? &office.send[race_below(&random, SENDERS)]
						     : &office.receive[race_below(&random, RECEIVERS)];
		if (carried != NULL && race_get(&office.quit) != 0) {
			hand_over(carried, OWNER_CARRIER, OWNER_POOL); /* nobody receives any more */
			return NULL;
		}
		if (!race_take(op, false)) {
			(void) sched_yield();
			continue;
		}
		op->expected = NNG_OK;
		op->expected_count = 1;
		race_add(&op->finished, 1);
		if (carried == NULL) {
			carried = message_of(op->aio);
			nng_aio_set_msg(op->aio, NULL);
			hand_over(carried, OWNER_SENDER, OWNER_CARRIER);
		} else {
			hand_over(carried, OWNER_CARRIER, OWNER_RECEIVER);
			nng_aio_set_msg(op->aio, (nng_msg *) (void *) carried);
			carried = NULL;
		}
		pw_aio_finish(op->aio, NNG_OK, 1);
	}
	return NULL;
}

static void *
disturb(void *arg)
{
	uint64_t random = race_stream(151);
	(void) arg;
	while (race_get(&office.quit) == 0) {
		nng_aio_cancel(office.send[race_below(&random, SENDERS)].aio);
		nng_aio_cancel(office.receive[race_below(&random, RECEIVERS)].aio);
		pw_clock_sleep_ns(race_below(&random, 10) * PW_NS_PER_US);
	}
	return NULL;
}

/* C8: success moves a message once, failure leaves it with the caller, and the balance is zero. Method: senders and
 * receivers with short deadlines, a provider that carries messages between them, a thread that aborts both; each
 * message knows its owner and is handed over by CAS. */
static void
messages_balance(void **unused)
{
	unsigned wanted = race_scaled(40000, 1000);

	(void) unused;
	for (unsigned i = 0; i < SENDERS; i++) {
		race_op_init(&office.send[i], -1);
		race_op_init(&office.receive[i], -1);
		office.send[i].then = on_sent;
		office.receive[i].then = on_received;
	}
	pthread_t carrier = race_thread(carry, NULL), disturber = race_thread(disturb, NULL);
	for (unsigned i = 0; i < SENDERS; i++) {
		send_one(&office.send[i]);
		receive_one(&office.receive[i]);
	}
	race_await(&office.received, wanted);
	race_await(&office.send_failed, 1);
	race_await(&office.receive_failed, 1);
	race_set(&office.ending, 1);
	for (unsigned i = 0; i < SENDERS; i++) {
		nng_aio_wait(office.send[i].aio);
		nng_aio_wait(office.receive[i].aio);
	}
	race_set(&office.quit, 1);
	race_join(carrier);
	race_join(disturber);
	uint64_t kept = 0, pooled = 0;
	for (unsigned i = 0; i < SENDERS; i++) {
		race_op_check(&office.send[i]);
		race_op_check(&office.receive[i]);
		kept += message_of(office.send[i].aio) != NULL;
		assert_null(message_of(office.receive[i].aio));
		nng_aio_free(office.send[i].aio);
		nng_aio_free(office.receive[i].aio);
	}
	for (unsigned i = 0; i < MESSAGES; i++) {
		pooled += race_get(&office.message[i].owner) == OWNER_POOL;
	}
	printf("sent %llu, received %llu, sends that failed %llu, receives that failed %llu\n",
	    (unsigned long long) race_get(&office.sent), (unsigned long long) race_get(&office.received),
	    (unsigned long long) race_get(&office.send_failed),
	    (unsigned long long) race_get(&office.receive_failed));
	assert_int_equal(race_get(&office.broken), 0);
	assert_int_equal(pooled + kept, MESSAGES);
	assert_true(
	    race_get(&office.sent) - race_get(&office.received) <= 1); /* one may have been in the carrier's hand */
}

static int
start_engine(void **unused)
{
	(void) unused;
	race_engine(SHARDS);
	return 0;
}

static int
end_engine(void **unused)
{
	(void) unused;
	race_engine_end();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(messages_balance, start_engine, end_engine),
	};

	race_print_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

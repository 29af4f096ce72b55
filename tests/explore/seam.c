/* SPDX-License-Identifier: MIT
 *
 * seam.c: the engine's seams as the explorer has them: futex, bell, lock, clock, thread, poller, memory.
 *
 * What it is: the kernel, as far as a shard can tell, made of pw_explore_block and pw_explore_wake. A blocked call is
 * a blocked fiber. What it is not: faithful in what the engine must not rely on (fairness, how long anything takes).
 *
 * The kernel's freedom is explored: a futex wait may return for no reason (scenario->spurious), a poller's wait because
 * of a signal (scenario->interrupts), an allocation may fail (pw_seam_allocations_fail), a completion that
 * is there may be reported now or later, completions come in any order, and a cancelled operation may have been
 * faster. When every fiber sleeps, what the kernel can complete it completes.
 *
 * A bell is a number, and rung or not; all are silent when an execution begins.
 */
#include "tests/explore/seam.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/lock.h"
#include "engine/base/thread.h"
#include "engine/shard/park.h"
#include "tests/explore/explore.h"
#include "tests/explore/plain.h"

#define BELLS_MAX 8
#define IOS_MAX 16
#define FIRST_ALLOCATION 840u /* outside threads begin on shard 0, however many there are */
#define HEAP_SIZE (1024u * 1024u)
#define HEAP_ALIGN 64u

/* The kernel sees memory as it is. */
static inline __attribute__((always_inline)) uint32_t
kernel_reads(const volatile void *address, unsigned size, const char *verb)
{
	uint64_t value = pw_explore_rmw((volatile void *) (uintptr_t) address, size, PW_EXPLORE_RELAXED, verb);
	pw_explore_rmw_done(false, value);
	return (uint32_t) value;
}

static inline __attribute__((always_inline)) void
kernel_writes(volatile void *address, unsigned size, uint64_t value, const char *verb)
{
	(void) pw_explore_rmw(address, size, PW_EXPLORE_RELAXED, verb);
	pw_explore_rmw_done(true, value);
}

/* ---- futex: the queue of a word is a word of its own, named by an odd address */

static const char *
futex_queue(const pw_a64 *word)
{
	return (const char *) word + 1;
}

bool
pw_seam_is_futex_queue(const volatile void *address)
{
	return (uintptr_t) address % sizeof(pw_a64) == 1;
}

bool
pw_futex_wait(pw_a64 *word, uint32_t low, uint64_t deadline_ns)
{
	if (kernel_reads(&word->v, sizeof(word->v), "futex_wait") != low || pw_explore_spurious()) {
		return true;
	}
	return pw_explore_block(futex_queue(word), deadline_ns, "sleeps on the word");
}

void
pw_futex_wake_all(pw_a64 *word)
{
	pw_explore_point(futex_queue(word), "futex_wake_all");
	pw_explore_done(true, 0);
	pw_explore_wake(futex_queue(word));
}

/* ---- bells */

static pw_a32 bell[BELLS_MAX];
static int bells_open;

int
pw_bell_open(int *fd)
{
	if (bells_open == BELLS_MAX) {
		return -EMFILE;
	}
	*fd = bells_open++;
	pw_explore_name(&bell[*fd], sizeof(bell[0]), "bell", NULL);
	pw_store_relaxed_32(&bell[*fd], 0);
	return 0;
}

void
pw_bell_ring(int fd)
{
	kernel_writes(&bell[fd].v, sizeof(bell[fd].v), 1, "rings");
	pw_explore_wake(&bell[fd]);
}

void
pw_bell_clear(int fd)
{
	kernel_writes(&bell[fd].v, sizeof(bell[fd].v), 0, "silences");
}

/* ---- lock */

void
pw_lock_acquire(struct pw_lock *lock)
{
	while (pw_explore_rmw(&lock->held, sizeof(lock->held), PW_EXPLORE_ACQUIRE, "lock") != 0) {
		pw_explore_rmw_done(false, 1);
		(void) pw_explore_block(lock, PW_NEVER_NS, "waits for the lock");
	}
	pw_explore_rmw_done(true, 1);
}

void
pw_lock_release(struct pw_lock *lock)
{
	(void) pw_explore_rmw(&lock->held, sizeof(lock->held), PW_EXPLORE_RELEASE, "unlock");
	pw_explore_rmw_done(true, 0);
	pw_explore_wake(lock);
}

/* ---- clock */

uint64_t
pw_clock_now_ns(void)
{
	return pw_explore_now_ns();
}

uint64_t
pw_clock_coarse_ns(void)
{
	return pw_explore_now_ns();
}

bool
pw_clock_is_cycles(void)
{
	return false;
}

void
pw_clock_sleep_ns(uint64_t ns)
{
	static const char nobody_wakes;
	(void) pw_explore_block(&nobody_wakes, pw_explore_now_ns() + ns, "sleeps for a time");
}

/* ---- thread: a fiber's, or the one of setup and check */

static struct pw_thread thread[PW_EXPLORE_FIBERS + 1];

struct pw_thread *
pw_thread_self(void)
{
	return &thread[pw_explore_self()];
}

/* ---- poller */

int (*pw_seam_answer)(const struct pw_io *io);

static struct {
	struct pw_poller *poller;
	struct pw_io *io;
} in_flight[IOS_MAX];
static unsigned in_flight_count;

static bool
can_complete(const struct pw_io *io)
{
	return io->cancel_wanted || (pw_seam_answer != NULL && pw_seam_answer(io) != PW_SEAM_NEVER);
}

static int
result_of(const struct pw_io *io)
{
	int own = pw_seam_answer != NULL ? pw_seam_answer(io) : PW_SEAM_NEVER;
	if (!io->cancel_wanted) {
		return own;
	}
	return own != PW_SEAM_NEVER && pw_explore_choose(2) != 0 ? own : -ECANCELED;
}

static int
fake_attach(struct pw_poller *poller, struct pw_file *file)
{
	(void) poller;
	file->attached = true;
	return 0;
}

static void
fake_detach(struct pw_poller *poller, struct pw_file *file)
{
	(void) poller;
	file->attached = false;
}

static void
fake_submit(struct pw_poller *poller, struct pw_io *io)
{
	PW_EXPLORE_ASSERT(!io->in_flight, "submitted an operation that is in flight");
	PW_EXPLORE_ASSERT(in_flight_count < IOS_MAX, "more than %d operations in flight", IOS_MAX);
	io->in_flight = true;
	io->cancel_wanted = false;
	in_flight[in_flight_count].poller = poller;
	in_flight[in_flight_count].io = io;
	in_flight_count++;
	poller->in_flight++;
}

static void
fake_cancel(struct pw_poller *poller, struct pw_io *io)
{
	(void) poller;
	io->cancel_wanted = io->in_flight;
}

/* The kernel completes one of this poller's operations: any, or (0) none. False: none. */
static bool
complete_one(struct pw_poller *poller, bool must)
{
	unsigned ready[IOS_MAX];
	unsigned count = 0;
	for (unsigned i = 0; i < in_flight_count; i++) {
		if (in_flight[i].poller == poller && can_complete(in_flight[i].io)) {
			ready[count++] = i;
		}
	}
	if (count == 0) {
		return false;
	}
	unsigned choice = pw_explore_choose(count + !must);
	if (choice == count) {
		return false;
	}
	struct pw_io *io = in_flight[ready[choice]].io;
	in_flight[ready[choice]] = in_flight[--in_flight_count];
	io->result = result_of(io);
	io->in_flight = false;
	poller->in_flight--;
	io->on_done(io, io->result);
	return true;
}

static unsigned
fake_wait(struct pw_poller *poller, uint64_t timeout_ns, unsigned budget)
{
	pw_a32 *rung = &bell[poller->bell_fd];
	unsigned done = 0;
	bool woken_by_kernel = false;

	while (done < budget && complete_one(poller, false)) {
		done++;
	}
	/* Before the bell is looked at: nothing may come between that and falling asleep. */
	bool forever = timeout_ns == 0 || timeout_ns == PW_NEVER_NS;
	uint64_t deadline_ns = forever ? PW_NEVER_NS : pw_explore_now_ns() + timeout_ns;
	if (done == 0 && timeout_ns != 0 && pw_explore_interrupted()) {
		return 0; /* a signal: nothing came, and the bell may ring on */
	}
	if (done == 0 && timeout_ns != 0 && kernel_reads(&rung->v, sizeof(rung->v), "looks at") == 0) {
		woken_by_kernel = pw_explore_block(rung, deadline_ns, "sleeps in its poller");
		woken_by_kernel = woken_by_kernel && kernel_reads(&rung->v, sizeof(rung->v), "looks at") == 0;
		done += complete_one(poller, woken_by_kernel);
	}
	if (kernel_reads(&rung->v, sizeof(rung->v), "looks at") != 0) {
		pw_bell_clear(poller->bell_fd);
	}
	return done;
}

static bool
fake_pending(const struct pw_poller *poller)
{
	(void) poller;
	return false;
}

static void
fake_close(struct pw_poller *poller)
{
	PW_EXPLORE_ASSERT(poller->in_flight == 0, "a poller is closed with %u operations in flight",
	    poller->in_flight);
}

static const struct pw_poller_ops fake_ops = {
	.name = "fake",
	.attach = fake_attach,
	.detach = fake_detach,
	.submit = fake_submit,
	.cancel = fake_cancel,
	.wait = fake_wait,
	.pending = fake_pending,
	.close = fake_close,
};

int
pw_poller_open(struct pw_poller *poller, enum pw_poller_kind kind, int bell_fd)
{
	(void) kind;
	memset(poller, 0, sizeof(*poller));
	poller->ops = &fake_ops;
	poller->fd = bell_fd; /* it is readable when the bell has rung, and what the kernel completes comes with a wake */
	poller->bell_fd = bell_fd;
	return 0;
}

void
pw_seam_poller_await(int poller_fd, uint64_t due_ns)
{
	pw_a32 *rung = &bell[poller_fd];
	if (kernel_reads(&rung->v, sizeof(rung->v), "looks at") == 0) {
		(void) pw_explore_block(rung, due_ns, "waits for the descriptor of");
	}
}

/* Every fiber sleeps: the kernel completes what it can. */
static bool
kernel_wakes(void)
{
	for (unsigned i = 0; i < in_flight_count; i++) {
		if (can_complete(in_flight[i].io)) {
			pw_explore_wake(&bell[in_flight[i].poller->bell_fd]);
			return true;
		}
	}
	return false;
}

/* ---- memory */

static _Alignas(HEAP_ALIGN) char heap[HEAP_SIZE];
static size_t heap_used;

void
pw_seam_heap_begin(void)
{
	heap_used = 0;
}

void
pw_seam_heap_keep(void *const *hole, unsigned holes, size_t hole_size)
{
	char *at = heap;
	for (unsigned i = 0; i < holes; i++) {
		pw_explore_keep(at, (size_t) ((char *) hole[i] - at));
		at = (char *) hole[i] + hole_size;
	}
	pw_explore_keep(at, (size_t) (&heap[heap_used] - at));
	pw_explore_keep(&heap_used, sizeof(heap_used));
}

static unsigned failures_left;

void
pw_seam_allocations_fail(unsigned count)
{
	failures_left = count;
}

void *
pw_seam_heap_alloc(size_t size)
{
	if (failures_left != 0 && pw_explore_choose(2) != 0) {
		failures_left--;
		return NULL;
	}
	size_t place = (heap_used + HEAP_ALIGN - 1) & ~(size_t) (HEAP_ALIGN - 1);
	if (size > HEAP_SIZE - place) {
		return NULL;
	}
	heap_used = place + size;
	return &heap[place];
}

void *
pw_seam_heap_zalloc(size_t count, size_t size)
{
	void *memory = pw_seam_heap_alloc(count * size);
	if (memory != NULL) {
		memset(memory, 0, count * size);
	}
	return memory;
}

/* What is freed is not used again in this execution, so a touch after free finds what was left there. To free is to
 * store: what others have done there must be behind it. */
void
pw_seam_heap_free(void *memory, size_t size)
{
	pw_plain_touch(memory, size, true);
	memset(memory, 0xdd, size);
}

/* ---- between executions */

static void
forget(void)
{
	memset(thread, 0, sizeof(thread));
	for (unsigned i = 0; i <= PW_EXPLORE_FIBERS; i++) {
		thread[i].allocations = FIRST_ALLOCATION;
	}
	memset(bell, 0, sizeof(bell));
	failures_left = 0;
	in_flight_count = 0;
	bells_open = 0;
}

void
pw_seam_install(void)
{
	pw_explore_on_idle = kernel_wakes;
	pw_explore_on_reset = forget;
}

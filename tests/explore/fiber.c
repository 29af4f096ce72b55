/* SPDX-License-Identifier: MIT
 *
 * fiber.c: a stack switch: on x86-64 thirteen instructions, elsewhere ucontext.
 *
 * What it is: the least that the explorer needs; a fiber is abandoned where it stands and started afresh, a
 * million times over. What it is not: usable from two threads, or known to a sanitizer (build without them).
 * swapcontext does the same with a system call for the signal mask, which is most of an explorer's time.
 */
#include "tests/explore/fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define GUARD_SIZE 4096u

struct pw_fiber {
	char *stack; /* the lowest usable byte */
	void (*run)(void *arg);
	void *arg;
#if defined(__x86_64__)
	void *sp;
#else
	ucontext_t context;
#endif
};

static struct pw_fiber program; /* what runs when no fiber does */
static struct pw_fiber *entering;

struct pw_fiber *
pw_fiber_new(void)
{
	struct pw_fiber *fiber = calloc(1, sizeof(*fiber));
	char *map = mmap(NULL, PW_FIBER_STACK_SIZE + GUARD_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (fiber == NULL || map == MAP_FAILED || mprotect(map, GUARD_SIZE, PROT_NONE) != 0) {
		free(fiber);
		return NULL;
	}
	fiber->stack = map + GUARD_SIZE;
	return fiber;
}

static void
enter(void)
{
	entering->run(entering->arg);
	abort(); /* run never returns */
}

#if defined(__x86_64__)

/* The callee-saved registers go on the stack that is left, and come from the one that is entered. */
void pw_fiber_swap(void **save_sp, void *load_sp);
__asm__(".text\n"
	".globl pw_fiber_swap\n"
	".type pw_fiber_swap, @function\n"
	"pw_fiber_swap:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size pw_fiber_swap, .-pw_fiber_swap\n");

void
pw_fiber_reset(struct pw_fiber *fiber, void (*run)(void *arg), void *arg)
{
	uintptr_t *top = (uintptr_t *) (void *) (fiber->stack + PW_FIBER_STACK_SIZE);
	fiber->run = run;
	fiber->arg = arg;
	*--top = 0; /* enter's return address: a function starts with its stack 8 off a multiple of 16 */
	*--top = (uintptr_t) enter;
	for (int i = 0; i < 6; i++) {
		*--top = 0;
	}
	fiber->sp = top;
}

void
pw_fiber_switch(struct pw_fiber *from, struct pw_fiber *to)
{
	from = from != NULL ? from : &program;
	to = to != NULL ? to : &program;
	entering = to;
	pw_fiber_swap(&from->sp, to->sp);
}

#else

void
pw_fiber_reset(struct pw_fiber *fiber, void (*run)(void *arg), void *arg)
{
	fiber->run = run;
	fiber->arg = arg;
	(void) getcontext(&fiber->context);
	fiber->context.uc_stack.ss_sp = fiber->stack;
	fiber->context.uc_stack.ss_size = PW_FIBER_STACK_SIZE;
	fiber->context.uc_link = NULL;
	makecontext(&fiber->context, enter, 0);
}

void
pw_fiber_switch(struct pw_fiber *from, struct pw_fiber *to)
{
	from = from != NULL ? from : &program;
	to = to != NULL ? to : &program;
	entering = to;
	(void) swapcontext(&from->context, &to->context);
}

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What both models share.
 *
 * MUST() fails with the number of the invariant in the assertion's text, which
 * is what `run` looks for. The flags are hidden: they cost no state.
 */
hidden byte invariant_1 = 1, invariant_2 = 1, invariant_3 = 1, invariant_4 = 1;
hidden byte invariant_5 = 1, invariant_6 = 1, invariant_7 = 1, invariant_9 = 1;

#define MUST(n, x)	if :: (x) :: else -> assert(!invariant_##n) fi

/*
 * Two accesses that nothing keeps in order happen in either. With a barrier
 * between them: INORDER. What is reordered further than its neighbour is written
 * out where it matters.
 */
#define EITHER(a, b)	if :: a; b :: b; a fi
#define INORDER(a, b)	a; b

/*
 * Loops. A d_step must not follow a break, hence the skip. STEPS: one access
 * after the other, each a step.
 */
#define LOCK		atomic { !lock -> lock = 1 }
#define UNLOCK		lock = 0
#define STEPS(i, from, to, access)	\
	i = from;			\
	do				\
	:: atomic { i <= to -> access; i++ }	\
	:: else -> break		\
	od;				\
	i = 0
#define EACH(i, from, to) i = (from); do :: i <= (to) ->
#define NEXT(i)		i++ :: else -> break od; skip

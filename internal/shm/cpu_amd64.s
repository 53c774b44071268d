//go:build !sim

#include "textflag.h"

// func CPU() uint32
TEXT ·CPU(SB), NOSPLIT, $0-4
	RDTSCP
	ANDL $0xfff, CX
	MOVL CX, ret+0(FP)
	RET

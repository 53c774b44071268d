//go:build !sim

#include "textflag.h"

// func Pause(n uint32)
TEXT ·Pause(SB), NOSPLIT, $0-4
	MOVL n+0(FP), AX
again:
	TESTL AX, AX
	JZ   done
	PAUSE
	SUBL $1, AX
	JMP  again
done:
	RET

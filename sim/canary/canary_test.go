package canary

import "testing"

func TestEditsFitTheSources(t *testing.T) {
	if err := Check("../.."); err != nil {
		t.Error(err)
	}
}

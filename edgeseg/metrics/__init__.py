"""How right a mask is: confusion matrix and the figures drawn from it, agreement of two masks."""

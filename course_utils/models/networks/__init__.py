"""Networks: forward passes of GPT-2 and Llama with a preallocated key-value cache; others run through transformers."""

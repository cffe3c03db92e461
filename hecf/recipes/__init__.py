"""What a retailer does with the coalition, step by step, over any transport."""

"""What we sign and check: tokens of impressions and of answers to them, vouchers of sessions."""

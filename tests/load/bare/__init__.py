"""The bare write path: the protocol's steps on Kafka and Redis without SCIM's rules, to measure the product against.

A measuring instrument, not a product: it does not recover, retry, authorise or validate beyond what each step costs.
"""

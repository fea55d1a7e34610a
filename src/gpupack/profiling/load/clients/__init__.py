"""The process that keeps requests in flight, over HTTP or gRPC, paced or not."""

# What the provider waits for by the clock, ten seconds each: applied by LITTORAL_TERRAFORM=whole only.
resource "aws_kinesis_stream" "readings" {
  name        = "tf-readings"
  shard_count = 1
  tags        = { team = var.team }
}
locals { stream = aws_kinesis_stream.readings.arn }
resource "aws_lambda_provisioned_concurrency_config" "live" {
  function_name                     = aws_lambda_function.ward.function_name
  qualifier                         = aws_lambda_alias.live.name
  provisioned_concurrent_executions = 1
}

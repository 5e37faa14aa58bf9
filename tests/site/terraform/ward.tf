# What AWS's provider for Terraform can make of functions, against a place. test_terraform.py applies it.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "5.100.0" }
  }
}
variable "endpoint" { type = string }
variable "zip" { type = string }
variable "timeout" { default = 10 }
variable "team" { default = "ward" }
provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = false
  s3_use_path_style           = true
  endpoints {
    lambda    = var.endpoint
    kinesis   = var.endpoint
    logs      = var.endpoint
    s3        = var.endpoint
    sts       = var.endpoint
    events    = var.endpoint
    scheduler = var.endpoint
    iot       = var.endpoint
  }
}
locals { role = "arn:aws:iam::000000000000:role/terraform" }

resource "aws_cloudwatch_log_group" "ward" {
  name              = "/aws/lambda/tf-ward"
  retention_in_days = 7
  tags              = { team = var.team }
}
resource "aws_lambda_layer_version" "shared" {
  layer_name          = "tf-shared"
  filename            = var.zip
  source_code_hash    = filebase64sha256(var.zip)
  compatible_runtimes = ["python3.11"]
  description         = "shared code"
}
resource "aws_lambda_function" "ward" {
  function_name    = "tf-ward"
  role             = local.role
  runtime          = "python3.11"
  handler          = "app.handler"
  filename         = var.zip
  source_code_hash = filebase64sha256(var.zip)
  timeout          = var.timeout
  memory_size      = 256
  publish          = true
  layers           = [aws_lambda_layer_version.shared.arn]
  environment { variables = { WARD = "seven" } }
  ephemeral_storage { size = 1024 }
  logging_config {
    log_format            = "JSON"
    application_log_level = "DEBUG"
    system_log_level      = "WARN"
    log_group             = aws_cloudwatch_log_group.ward.name
  }
  tags = { team = var.team }
}
resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.ward.function_name
  function_version = aws_lambda_function.ward.version
}
resource "aws_lambda_permission" "bucket" {
  statement_id   = "bucket"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.ward.function_name
  principal      = "s3.amazonaws.com"
  source_arn     = aws_s3_bucket.ward.arn
  source_account = "000000000000"
}
resource "aws_lambda_permission" "public" {
  statement_id           = "public"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = aws_lambda_function.ward.function_name
  principal              = "*"
  function_url_auth_type = "NONE"
}
resource "aws_lambda_function_url" "ward" {
  function_name      = aws_lambda_function.ward.function_name
  authorization_type = "NONE"
  cors {
    allow_origins = ["https://ward.example"]
    allow_methods = ["GET"]
    max_age       = 60
  }
}
resource "aws_lambda_event_source_mapping" "readings" {
  event_source_arn                   = local.stream
  function_name                      = aws_lambda_function.ward.arn
  starting_position                  = "TRIM_HORIZON"
  batch_size                         = 50
  maximum_batching_window_in_seconds = 1
  bisect_batch_on_function_error     = true
  maximum_retry_attempts             = 3
  function_response_types            = ["ReportBatchItemFailures"]
  tags                               = { team = var.team }
  filter_criteria {
    filter { pattern = jsonencode({ data = { rate = [{ numeric = [">", 120] }] } }) }
  }
  destination_config {
    on_failure { destination_arn = local.stream }
  }
}
resource "aws_lambda_function_event_invoke_config" "ward" {
  function_name                = aws_lambda_function.ward.function_name
  maximum_event_age_in_seconds = 120
  maximum_retry_attempts       = 1
  destination_config {
    on_failure { destination = local.stream }
  }
}
resource "aws_s3_bucket" "ward" {
  bucket        = "tf-ward"
  force_destroy = true
}
resource "aws_s3_bucket_notification" "ward" {
  bucket = aws_s3_bucket.ward.id
  lambda_function {
    lambda_function_arn = aws_lambda_function.ward.arn
    events              = ["s3:ObjectCreated:*"]
    filter_prefix       = "in/"
    filter_suffix       = ".json"
  }
  depends_on = [aws_lambda_permission.bucket]
}
resource "aws_lambda_function_recursion_config" "ward" {
  function_name  = aws_lambda_function.ward.function_name
  recursive_loop = "Allow"
}
resource "aws_lambda_runtime_management_config" "ward" {
  function_name     = aws_lambda_function.ward.function_name
  update_runtime_on = "Auto"
}
resource "aws_lambda_layer_version_permission" "shared" {
  layer_name     = aws_lambda_layer_version.shared.layer_name
  version_number = aws_lambda_layer_version.shared.version
  statement_id   = "everybody"
  action         = "lambda:GetLayerVersion"
  principal      = "*"
}
resource "aws_lambda_invocation" "first" {
  function_name = aws_lambda_function.ward.function_name
  qualifier     = aws_lambda_alias.live.name
  input         = jsonencode({ bed = 7 })
}
resource "aws_cloudwatch_event_rule" "hourly" {
  name                = "tf-hourly"
  schedule_expression = "rate(1 hour)"
}
resource "aws_cloudwatch_event_target" "hourly" {
  rule = aws_cloudwatch_event_rule.hourly.name
  arn  = aws_lambda_function.ward.arn
}
resource "aws_lambda_permission" "hourly" {
  statement_id  = "hourly"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.ward.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.hourly.arn
}
resource "aws_scheduler_schedule" "nightly" {
  name                = "tf-nightly"
  schedule_expression = "cron(0 3 * * ? *)"
  flexible_time_window { mode = "OFF" }
  target {
    arn      = aws_lambda_alias.live.arn
    role_arn = local.role
  }
}
output "answer" { value = aws_lambda_invocation.first.result }
output "url" { value = aws_lambda_function_url.ward.function_url }

resource "aws_iot_topic_rule" "hot" {
  name        = "tf_hot"
  enabled     = true
  description = "what is too high"
  sql         = "SELECT *, topic(2) AS bed FROM 'tf/+/hr' WHERE hr > 120"
  sql_version = "2016-03-23"
  lambda { function_arn = aws_lambda_function.ward.arn }
  s3 {
    bucket_name = aws_s3_bucket.ward.bucket
    key         = "$${topic(2)}"
    role_arn    = local.role
  }
  kinesis {
    stream_name   = "tf-readings"
    partition_key = "$${topic()}"
    role_arn      = local.role
  }
  firehose {
    delivery_stream_name = "tf-readings"
    separator            = "\n"
    batch_mode           = true
    role_arn             = local.role
  }
  sqs {
    queue_url  = "https://sqs.us-east-1.amazonaws.com/000000000000/tf-readings"
    use_base64 = true
    role_arn   = local.role
  }
  sns {
    target_arn     = "arn:aws:sns:us-east-1:000000000000:tf-readings"
    message_format = "RAW"
    role_arn       = local.role
  }
  cloudwatch_logs {
    log_group_name = aws_cloudwatch_log_group.ward.name
    batch_mode     = true
    role_arn       = local.role
  }
  cloudwatch_metric {
    metric_name      = "HeartRate"
    metric_namespace = "Ward"
    metric_unit      = "Count"
    metric_value     = "$${hr}"
    role_arn         = local.role
  }
  error_action {
    republish {
      topic    = "tf/failed"
      qos      = 1
      role_arn = local.role
    }
  }
  tags = { team = var.team }
}

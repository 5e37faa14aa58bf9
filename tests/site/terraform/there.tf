# The stream that the test has made, where whole.tf is not applied.
data "aws_kinesis_stream" "readings" { name = "tf-readings" }
locals { stream = data.aws_kinesis_stream.readings.arn }

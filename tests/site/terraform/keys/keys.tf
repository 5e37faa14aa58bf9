# A key of KMS, its alias, and a bucket whose objects are encrypted under it.

variable "later" {
  type    = bool
  default = false
}

resource "aws_kms_key" "waves" {
  description             = var.later ? "waves of ward 8" : "waves of ward 7"
  deletion_window_in_days = 7
  enable_key_rotation     = true
  rotation_period_in_days = var.later ? 180 : 90
  tags                    = { team = var.later ? "night" : "ward" }
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::000000000000:root" }
      Action    = "kms:*"
      Resource  = "*"
    }]
  })
}

resource "aws_kms_alias" "waves" {
  name          = "alias/tf-waves"
  target_key_id = aws_kms_key.waves.key_id
}

resource "aws_s3_bucket" "waves" {
  bucket        = "tf-sealed"
  force_destroy = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "waves" {
  bucket = aws_s3_bucket.waves.id
  rule {
    bucket_key_enabled = !var.later
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.waves.arn
    }
  }
}

resource "aws_s3_object" "wave" {
  bucket     = aws_s3_bucket.waves.id
  key        = "wave"
  content    = "1,2,3"
  kms_key_id = aws_kms_key.waves.arn
}

data "aws_kms_alias" "waves" { name = aws_kms_alias.waves.name }

output "key" { value = data.aws_kms_alias.waves.target_key_arn }

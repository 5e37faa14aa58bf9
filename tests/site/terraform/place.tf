# A place as AWS's provider sees it: the beginning of all that is one thing's, as a table's or a distribution's.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

variable "endpoint" { type = string }
variable "zip" { type = string }

provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  s3_use_path_style           = true
  endpoints {
    acm        = var.endpoint
    cloudfront = var.endpoint
    dynamodb   = var.endpoint
    kms        = var.endpoint
    s3         = var.endpoint
    sts        = var.endpoint
  }
}

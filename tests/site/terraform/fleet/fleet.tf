# What AWS's provider for Terraform can make of IoT's registry, against a place. test_terraform.py applies it.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "5.100.0" }
  }
}
variable "endpoint" { type = string }
variable "zip" { type = string }
variable "ward" { default = "7" }
provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  endpoints {
    iot = var.endpoint
    sts = var.endpoint
  }
  default_tags { tags = { team = "fleet" } }
}
locals { role = "arn:aws:iam::000000000000:role/terraform" }

resource "aws_iot_thing_type" "bed" {
  name = "tf-bed"
  properties {
    description           = "a bed"
    searchable_attributes = ["ward"]
  }
}
resource "aws_iot_thing" "bed" {
  name            = "tf-bed-1"
  thing_type_name = aws_iot_thing_type.bed.name
  attributes      = { ward = var.ward }
}
resource "aws_iot_thing_group" "hospital" {
  name = "tf-hospital"
  properties { description = "all wards" }
  tags = { city = "Ostend" }
}
resource "aws_iot_thing_group" "ward" {
  name              = "tf-ward"
  parent_group_name = aws_iot_thing_group.hospital.name
  properties {
    attribute_payload { attributes = { floor = var.ward } }
  }
}
resource "aws_iot_thing_group_membership" "bed" {
  thing_name       = aws_iot_thing.bed.name
  thing_group_name = aws_iot_thing_group.ward.name
}
resource "aws_iot_billing_group" "ward" {
  name = "tf-billed"
  properties { description = "ward ${var.ward}" }
}
resource "aws_iot_certificate" "bed" { active = true }
resource "aws_iot_thing_principal_attachment" "bed" {
  thing     = aws_iot_thing.bed.name
  principal = aws_iot_certificate.bed.arn
}
resource "aws_iot_policy" "bed" {
  name = "tf-bed"
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["iot:Connect", "iot:Publish"], Resource = ["*"] }]
  })
}
resource "aws_iot_policy_attachment" "bed" {
  policy = aws_iot_policy.bed.name
  target = aws_iot_certificate.bed.arn
}
resource "aws_iot_policy_attachment" "ward" {
  policy = aws_iot_policy.bed.name
  target = aws_iot_thing_group.ward.arn
}
resource "aws_iot_role_alias" "bed" {
  alias               = "tf-bed"
  role_arn            = local.role
  credential_duration = 1800
}
resource "aws_iot_provisioning_template" "bed" {
  name                  = "tf-beds"
  description           = "beds"
  provisioning_role_arn = local.role
  enabled               = true
  template_body = jsonencode({
    Parameters = { Serial = { Type = "String" } }
    Resources = {
      thing = { Type = "AWS::IoT::Thing", Properties = { ThingName = { Ref = "Serial" } } }
      certificate = {
        Type       = "AWS::IoT::Certificate"
        Properties = { CertificateId = { Ref = "AWS::IoT::Certificate::Id" }, Status = "Active" }
      }
    }
  })
}
resource "aws_iot_ca_certificate" "factory" {
  active                  = true
  ca_certificate_pem      = file("ca.pem")
  certificate_mode        = "SNI_ONLY"
  allow_auto_registration = true
}
resource "aws_iot_event_configurations" "fleet" {
  event_configurations = {
    "THING"                  = true
    "THING_GROUP"            = true
    "THING_TYPE"             = false
    "THING_GROUP_MEMBERSHIP" = true
    "THING_GROUP_HIERARCHY"  = false
    "THING_TYPE_ASSOCIATION" = false
    "JOB"                    = true
    "JOB_EXECUTION"          = false
    "POLICY"                 = false
    "CERTIFICATE"            = true
    "CA_CERTIFICATE"         = false
  }
}
resource "aws_iot_logging_options" "fleet" {
  default_log_level = "WARN"
  role_arn          = local.role
}
resource "aws_iot_indexing_configuration" "fleet" {
  thing_indexing_configuration {
    thing_indexing_mode              = "REGISTRY"
    thing_connectivity_indexing_mode = "STATUS"
  }
  thing_group_indexing_configuration { thing_group_indexing_mode = "ON" }
}
data "aws_iot_endpoint" "data" { endpoint_type = "iot:Data-ATS" }
data "aws_iot_registration_code" "code" {}
output "endpoint" { value = data.aws_iot_endpoint.data.endpoint_address }

resource "aws_iot_authorizer" "gate" {
  name                    = "tf-gate"
  authorizer_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:gate"
  signing_disabled        = true
  status                  = "INACTIVE"
}
resource "aws_iot_domain_configuration" "beds" {
  name        = "tf-beds"
  domain_name = "beds.example.test"
  authorizer_config {
    default_authorizer_name   = aws_iot_authorizer.gate.name
    allow_authorizer_override = var.ward == "7"
  }
}
